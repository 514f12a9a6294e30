"""Common part of both drivers, through cuda-python: memory and stream capture.

PyCUDA has no graphs, and it ties memory to the thread that allocated it; a server makes programs
in any thread. Handles are plain integers, so that users of a driver see no difference.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adagen_rt.errors import DeviceError, needs_extra


def import_driver() -> Any:
    """Import cuda-python's driver module and initialise it.

    Raises:
        MissingExtraError: It is not installed.
        DeviceError: There is no NVIDIA driver, or no GPU.
    """
    with needs_extra("cuda", "cuda-bindings"):
        from cuda.bindings import driver
    try:
        checked(driver.cuInit(0))
    except RuntimeError:  # raised by cuda-python where the driver's library is not found
        raise DeviceError("no NVIDIA GPU: the driver's library was not found") from None
    return driver


def checked(result: tuple[Any, ...]) -> Any:
    """Return a driver call's values without its status: None, one value, or several.

    Raises:
        DeviceError: The status is not success.
    """
    status, *values = result
    if int(status) != 0:
        raise DeviceError(f"the CUDA driver answered {status.name}")
    return values[0] if len(values) == 1 else values or None


class Bindings:
    """Memory, and captures in thread-local mode, so that other threads may go on allocating."""

    def __init__(self) -> None:
        self._cuda = import_driver()
        # Executable graphs must not be collected while their handles are in use.
        self._kept: dict[int, Any] = {}

    def allocate(self, size: int) -> int:
        """Allocate ``size`` bytes; return their address."""
        return int(checked(self._cuda.cuMemAlloc(max(size, 1))))

    def free(self, address: int) -> None:
        """Give memory back."""
        checked(self._cuda.cuMemFree(address))

    def host_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array in page-locked memory, freed with the last array over it."""
        count = math.prod(shape)
        size = max(count * np.dtype(dtype).itemsize, 1)
        address = int(checked(self._cuda.cuMemHostAlloc(size, 0)))
        memory: Any = (ctypes.c_uint8 * size).from_address(address)
        # At the end of the process the driver frees it, and must not be called any more.
        weakref.finalize(memory, self._cuda.cuMemFreeHost, address).atexit = False
        return np.frombuffer(memory, dtype, count).reshape(shape)

    def begin_capture(self, stream: int) -> None:
        """Record the stream's work instead of running it."""
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(self._cuda.cuStreamBeginCapture(stream, mode))

    def end_capture(self, stream: int) -> int:
        """Return the recorded work as an executable graph."""
        graph = checked(self._cuda.cuStreamEndCapture(stream))
        executable = checked(self._cuda.cuGraphInstantiate(graph, 0))
        checked(self._cuda.cuGraphDestroy(graph))
        self._kept[int(executable)] = executable
        return int(executable)

    def replay(self, graph: int, stream: int) -> None:
        """Run a recorded graph."""
        checked(self._cuda.cuGraphLaunch(self._kept[graph], stream))

    def forget(self, graph: int) -> None:
        """Give a recorded graph back, which no stream runs any more."""
        checked(self._cuda.cuGraphExecDestroy(self._kept.pop(graph)))
