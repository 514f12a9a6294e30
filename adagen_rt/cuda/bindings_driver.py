"""The driver seam over cuda-python alone."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from numpy.typing import NDArray

from adagen_rt.cuda.driver import Launch
from adagen_rt.cuda.graphs import Bindings, checked
from adagen_rt.cuda.kernels import SHARED_LIMIT, kernel_image
from adagen_rt.errors import DeviceError


class BindingsDriver(Bindings):
    """One GPU through cuda-python; documented by ``adagen_rt.cuda.driver.Driver``."""

    name = "cuda-python"

    def __init__(self, device: int = 0) -> None:
        super().__init__()
        cuda = self._cuda
        count = checked(cuda.cuDeviceGetCount())
        if not 0 <= device < count:
            raise DeviceError(f"device: got {device}, expected one of {count} GPUs")
        handle = checked(cuda.cuDeviceGet(device))
        self._context = checked(cuda.cuDevicePrimaryCtxRetain(handle))
        self.activate()
        attributes = cuda.CUdevice_attribute
        kind = (
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
        major, minor = (checked(cuda.cuDeviceGetAttribute(what, handle)) for what in kind)
        self._module = checked(cuda.cuModuleLoadData(kernel_image(major, minor)))
        self._function = cache(self._find_function)

    def _find_function(self, kernel: str) -> Any:
        function = checked(
            self._cuda.cuModuleGetFunction(self._module, b"adagen_" + kernel.encode())
        )
        attribute = self._cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        checked(self._cuda.cuFuncSetAttribute(function, attribute, SHARED_LIMIT))
        return function

    def activate(self) -> None:
        checked(self._cuda.cuCtxSetCurrent(self._context))

    def upload(self, target: int, source: NDArray[Any], stream: int) -> None:
        checked(self._cuda.cuMemcpyHtoDAsync(target, source.ctypes.data, source.nbytes, stream))

    def download(self, target: NDArray[Any], source: int, stream: int) -> None:
        checked(self._cuda.cuMemcpyDtoHAsync(target.ctypes.data, source, target.nbytes, stream))

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        checked(self._cuda.cuMemcpyDtoDAsync(target, source, size, stream))

    def zero(self, target: int, size: int, stream: int) -> None:
        checked(self._cuda.cuMemsetD8Async(target, 0, size, stream))

    def launch(self, launch: Launch, stream: int) -> None:
        arguments = ctypes.create_string_buffer(launch.arguments, len(launch.arguments))
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        function = self._function(launch.kernel)
        checked(
            self._cuda.cuLaunchKernel(
                function, *launch.grid, 1, launch.threads, 1, 1, launch.shared, stream,
                ctypes.addressof(pointers), 0,
            )
        )  # fmt: skip

    def new_stream(self) -> int:
        flag = self._cuda.CUstream_flags.CU_STREAM_NON_BLOCKING
        stream = checked(self._cuda.cuStreamCreate(flag))
        self._kept[int(stream)] = stream
        return int(stream)

    def synchronize(self, stream: int) -> None:
        checked(self._cuda.cuStreamSynchronize(stream))
