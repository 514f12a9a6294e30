# ruff: noqa: N802, N815 -- the driver's own names
"""NVIDIA's driver library, as far as ``BindingsDriver`` calls it, in host memory.

cuda-python finds the library by name and asks it for every function. Built from ``SOURCE`` and
found first, the library asks this module, whose functions have the driver's own signatures: the
arguments have gone through cuda-python when they arrive here. Nothing runs while a stream is
captured, and what a capture does not allow fails.
"""

import ctypes
from collections import Counter
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_ubyte, c_uint, c_ulonglong, c_void_p
from itertools import count

from adagen_rt import _kernels
from adagen_rt.cuda.host import HostDriver
from adagen_rt.cuda.kernels import SHARED_LIMIT
from adagen_rt.ops import structs

SOURCE = """
typedef int (*resolver_t)(const char *, void **);
static resolver_t resolver;
void set_resolver(resolver_t given) { resolver = given; }
int cuGetProcAddress_v2(const char *name, void **function, int version,
                        unsigned long long flags, void *status) {
  *function = 0;
  return resolver ? resolver(name, function) : 500;
}
"""
IMAGE, CONTEXT, MAX_SHARED, THREAD_LOCAL, NOT_FOUND, FAILED = b"image", 77, 8, 1, 500, 999
RESOLVER = ctypes.CFUNCTYPE(c_int, c_char_p, POINTER(c_void_p))
HANDLE, PLACE = c_void_p, POINTER(c_void_p)
COPY = (HANDLE, HANDLE, c_size_t, HANDLE)
SIGNATURES = {
    "cuInit": (c_uint,),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDevicePrimaryCtxRetain": (PLACE, c_int),
    "cuCtxSetCurrent": (HANDLE,),
    "cuModuleLoadData": (PLACE, HANDLE),
    "cuModuleGetFunction": (PLACE, HANDLE, c_char_p),
    "cuFuncSetAttribute": (HANDLE, c_int, c_int),
    "cuMemAlloc": (PLACE, c_size_t),
    "cuMemFree": (HANDLE,),
    "cuMemHostAlloc": (PLACE, c_size_t, c_uint),
    "cuMemFreeHost": (HANDLE,),
    "cuMemcpyHtoDAsync": COPY,
    "cuMemcpyDtoHAsync": COPY,
    "cuMemcpyDtoDAsync": COPY,
    "cuMemsetD8Async": (HANDLE, c_ubyte, c_size_t, HANDLE),
    "cuStreamCreate": (PLACE, c_uint),
    "cuStreamSynchronize": (HANDLE,),
    "cuStreamBeginCapture": (HANDLE, c_int),
    "cuStreamEndCapture": (HANDLE, PLACE),
    "cuGraphInstantiateWithFlags": (PLACE, HANDLE, c_ulonglong),
    "cuGraphDestroy": (HANDLE,),
    "cuGraphExecDestroy": (HANDLE,),
    "cuGraphLaunch": (HANDLE, HANDLE),
    "cuLaunchKernel": (HANDLE, *[c_uint] * 7, HANDLE, PLACE, PLACE),
}


class StubLibrary:
    """One GPU of compute capability 9.0 with one stream.

    Attributes:
        host: Whose memory and captures stand in for the GPU's.
        calls: How often each function was called.
        faults: What functions refused.
    """

    def __init__(self, path):
        self.host, self.calls, self.faults = HostDriver(), Counter(), []
        self.graphs, self.names, self._handles = {}, {}, count(1000)
        self._functions = {n: self._function(n, types) for n, types in SIGNATURES.items()}
        self._resolver = RESOLVER(self._resolve)
        ctypes.CDLL(path).set_resolver(self._resolver)

    def _function(self, name, types):
        def call(*arguments):
            self.calls[name] += 1
            try:
                getattr(self, name)(*arguments)
            except Exception as error:
                self.faults.append(f"{name}: {type(error).__name__} {error}")
                return FAILED
            return 0

        return ctypes.CFUNCTYPE(c_int, *types)(call)

    def _resolve(self, name, place):
        if name.decode() not in self._functions:
            return NOT_FOUND
        place[0] = ctypes.cast(self._functions[name.decode()], c_void_p).value
        return 0

    def cuInit(self, flags):
        assert flags == 0

    def cuDeviceGetCount(self, place):
        place[0] = 1

    def cuDeviceGet(self, place, number):
        place[0] = number

    def cuDeviceGetAttribute(self, place, attribute, device):
        place[0] = {75: 9, 76: 0}[attribute]

    def cuDevicePrimaryCtxRetain(self, place, device):
        place[0] = CONTEXT

    def cuCtxSetCurrent(self, context):
        assert context == CONTEXT

    def cuModuleLoadData(self, place, image):
        assert ctypes.string_at(image, len(IMAGE)) == IMAGE
        place[0] = next(self._handles)

    def cuModuleGetFunction(self, place, module, name):
        place[0] = next(self._handles)
        self.names[place[0]] = name.decode().removeprefix("adagen_")

    def cuFuncSetAttribute(self, function, attribute, value):
        assert (attribute, value) == (MAX_SHARED, SHARED_LIMIT)

    def cuMemAlloc(self, place, size):
        place[0] = self.host.allocate(size)

    def cuMemFree(self, address):
        self.host.free(address)

    def cuMemHostAlloc(self, place, size, flags):
        self.cuMemAlloc(place, size)

    def cuMemFreeHost(self, address):
        self.host.free(address)

    def cuMemcpyHtoDAsync(self, target, source, size, stream):
        assert self.host._captured is None
        ctypes.memmove(target, source, size)

    cuMemcpyDtoHAsync = cuMemcpyHtoDAsync

    def cuMemcpyDtoDAsync(self, target, source, size, stream):
        self.host.copy(target, source, size, stream)

    def cuMemsetD8Async(self, target, value, size, stream):
        assert value == 0
        self.host.zero(target, size, stream)

    def cuStreamCreate(self, place, flags):
        assert flags == 1  # does not wait for the default stream
        place[0] = self.stream = next(self._handles)

    def cuStreamSynchronize(self, stream):
        assert stream == self.stream
        self.host.synchronize(stream)

    def cuStreamBeginCapture(self, stream, mode):
        assert (stream, mode) == (self.stream, THREAD_LOCAL)
        self.host.begin_capture(stream)

    def cuStreamEndCapture(self, stream, place):
        place[0] = next(self._handles)
        self.graphs[place[0]] = self.host.end_capture(stream)

    def cuGraphInstantiateWithFlags(self, place, graph, flags):
        place[0] = next(self._handles)
        self.graphs[place[0]] = self.graphs[graph]

    def cuGraphDestroy(self, graph):
        del self.graphs[graph]

    def cuGraphExecDestroy(self, graph):
        self.host.forget(self.graphs.pop(graph))

    def cuGraphLaunch(self, graph, stream):
        assert stream == self.stream
        self.host.replay(self.graphs[graph], stream)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, arguments, extra):
        assert (gz, bx, by, bz) == (1, 256, 1, 1)
        assert gx * gy > 0
        assert shared <= SHARED_LIMIT
        assert stream == self.stream
        name = self.names[function]
        size = ctypes.sizeof(getattr(structs, name.title().replace("_", "")))
        content = ctypes.string_at(arguments[0], size)
        self.host.submit(lambda: _kernels.launch(name, content, 1))
