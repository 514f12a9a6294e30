"""Stream capture through cuda-python: PyCUDA has no graphs, and handles are plain integers."""

from __future__ import annotations

from typing import Any

from adagen_rt.errors import DeviceError, MissingExtraError


def import_driver() -> Any:
    """cuda-python's driver module, initialised.

    Raises:
        MissingExtraError: It is not installed.
        DeviceError: There is no NVIDIA driver, or no GPU.
    """
    try:
        from cuda.bindings import driver
    except ImportError:
        raise MissingExtraError("cuda-bindings", "cuda") from None
    try:
        checked(driver.cuInit(0))
    except RuntimeError:  # cuda-python's own, where the driver's library is not found
        raise DeviceError("no NVIDIA GPU: the driver's library was not found") from None
    return driver


def checked(result: tuple[Any, ...]) -> Any:
    """What a driver call returned beside its status: nothing, one value, or several.

    Raises:
        DeviceError: The status is not success.
    """
    status, *values = result
    if int(status) != 0:
        raise DeviceError(f"the CUDA driver answered {status.name}")
    return values[0] if len(values) == 1 else values or None


class GraphCapture:
    """Captures in thread-local mode, so that other threads may go on allocating."""

    def __init__(self) -> None:
        self._cuda = import_driver()
        # Executable graphs must not be collected while their handles are in use.
        self._kept: dict[int, Any] = {}

    def begin_capture(self, stream: int) -> None:
        """Record what the stream is given instead of running it."""
        mode = self._cuda.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(self._cuda.cuStreamBeginCapture(stream, mode))

    def end_capture(self, stream: int) -> int:
        """The recorded work as an executable graph."""
        graph = checked(self._cuda.cuStreamEndCapture(stream))
        executable = checked(self._cuda.cuGraphInstantiate(graph, 0))
        checked(self._cuda.cuGraphDestroy(graph))
        self._kept[int(executable)] = executable
        return int(executable)

    def replay(self, graph: int, stream: int) -> None:
        """Run a recorded graph."""
        checked(self._cuda.cuGraphLaunch(self._kept[graph], stream))
