"""The driver seam over PyCUDA, with memory and graphs through cuda-python."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adagen_rt.cuda.driver import Launch
from adagen_rt.cuda.graphs import Bindings, checked
from adagen_rt.cuda.kernels import SHARED_LIMIT, kernel_image
from adagen_rt.errors import DeviceError, needs_extra

#: CU_STREAM_NON_BLOCKING.
_NON_BLOCKING = 1


class PyCudaDriver(Bindings):
    """One GPU through PyCUDA; documented by ``adagen_rt.cuda.driver.Driver``.

    The context is the primary one, which PyTorch shares; ``pycuda.autoinit`` would make a
    second. Streams are made in the thread that made the driver, as PyCUDA demands.

    Raises:
        MissingExtraError: PyCUDA or cuda-python is not installed.
        DeviceError: There is no such GPU.
    """

    name = "pycuda"

    def __init__(self, device: int = 0) -> None:
        super().__init__()
        with needs_extra("cuda", "pycuda"):
            import pycuda.driver
        cuda = self._pycuda = pycuda.driver
        cuda.init()
        count = cuda.Device.count()
        if not 0 <= device < count:
            raise DeviceError(f"device: got {device}, expected one of {count} GPUs")
        handle = cuda.Device(device)
        context = handle.retain_primary_context()
        context.push()
        # PyCUDA aborts the process if a context is left on its stack at the end.
        atexit.register(context.pop)
        # Kept as a handle, to be made current in threads that PyCUDA's stack does not cover.
        self._current = checked(self._cuda.cuCtxGetCurrent())
        self._module = cuda.module_from_buffer(kernel_image(*handle.compute_capability()))
        self._function = cache(self._find_function)
        self._streams: dict[int, Any] = {}

    def _find_function(self, kernel: str) -> Any:
        function = self._module.get_function(f"adagen_{kernel}")
        attribute = self._pycuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES
        function.set_attribute(attribute, SHARED_LIMIT)
        return function

    def activate(self) -> None:
        checked(self._cuda.cuCtxSetCurrent(self._current))

    def upload(self, target: int, source: NDArray[Any], stream: int) -> None:
        self._pycuda.memcpy_htod_async(target, source, self._streams[stream])

    def download(self, target: NDArray[Any], source: int, stream: int) -> None:
        self._pycuda.memcpy_dtoh_async(target, source, self._streams[stream])

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self._pycuda.memcpy_dtod_async(target, source, size, self._streams[stream])

    def zero(self, target: int, size: int, stream: int) -> None:
        self._pycuda.memset_d8_async(target, 0, size, self._streams[stream])

    def launch(self, launch: Launch, stream: int) -> None:
        self._function(launch.kernel)(
            # PyCUDA passes a void scalar on as the bytes that it is: one struct.
            np.void(launch.arguments),
            grid=launch.grid,
            block=(launch.threads, 1, 1),
            shared=launch.shared,
            stream=self._streams[stream],
        )

    def new_stream(self) -> int:
        stream = self._pycuda.Stream(_NON_BLOCKING)
        self._streams[stream.handle] = stream
        return int(stream.handle)

    def synchronize(self, stream: int) -> None:
        self._streams[stream].synchronize()
