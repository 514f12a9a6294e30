"""The interface of a CUDA driver: memory, copies, launches, streams and captured graphs.

Addresses, streams and captured graphs are integers, the driver's own handles, so that
PyCUDA, cuda-python, PyTorch and TensorRT can pass them to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True)
class Launch:
    """One kernel launch.

    Attributes:
        kernel: Name of the op; the kernel's name is ``adagen_NAME``.
        grid: Blocks along x and y.
        threads: Threads of a block.
        shared: Dynamic shared memory of a block in bytes.
        arguments: Bytes of the op's struct.
    """

    kernel: str
    grid: tuple[int, int]
    threads: int
    shared: int
    arguments: bytes


class Driver(Protocol):
    """One GPU.

    Work on a stream is asynchronous. During a capture, a stream takes launches, device
    copies and fills; nothing may be allocated, synchronised, uploaded or downloaded.

    Attributes:
        name: Name of the driver, one of ``DRIVERS``.
    """

    name: str

    def activate(self) -> None:
        """Make the GPU's context this thread's current one."""

    def allocate(self, size: int) -> int:
        """Allocate ``size`` bytes; return their address."""

    def free(self, address: int) -> None:
        """Give memory back."""

    def host_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate an array in page-locked memory, which asynchronous copies need.

        The memory is given back with the last array over it: keep one until the copies are
        done.
        """

    def upload(self, target: int, source: NDArray[Any], stream: int) -> None:
        """Copy a C-contiguous array to the device."""

    def download(self, target: NDArray[Any], source: int, stream: int) -> None:
        """Copy from the device into a C-contiguous array."""

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy ``size`` bytes on the device."""

    def zero(self, target: int, size: int, stream: int) -> None:
        """Fill ``size`` bytes with zeros."""

    def launch(self, launch: Launch, stream: int) -> None:
        """Run a kernel."""

    def new_stream(self) -> int:
        """Make a stream that does not wait for the default one."""

    def synchronize(self, stream: int) -> None:
        """Wait until a stream has done its work."""

    def begin_capture(self, stream: int) -> None:
        """Record the stream's work instead of running it."""

    def end_capture(self, stream: int) -> int:
        """Return the recorded work as an executable graph."""

    def replay(self, graph: int, stream: int) -> None:
        """Run a recorded graph."""

    def forget(self, graph: int) -> None:
        """Give a recorded graph back, which no stream runs any more."""
