"""A stand-in for a GPU: runs device programs on the host, for tests and dry runs.

The kernels' host drivers take the very structs that a device launch takes. Rules that a GPU
would enforce are enforced here: in a capture, nothing may be allocated, copied from or to
the host, or waited for.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from adagen_rt.cuda.driver import Launch
from adagen_rt.errors import DeviceError
from adagen_rt.native import load_kernels

Work = Callable[[], object]
#: CUDA's allocations begin at multiples of this.
ALIGNMENT = 256
_kernels = load_kernels()


class HostDriver:
    """Host memory and threads in a GPU's place; a ``Driver``.

    Attributes:
        calls: Names of the calls made so far, in order.
    """

    name = "host"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._memory: dict[int, NDArray[np.uint8]] = {}
        self._captured: list[Work] | None = None
        self._graphs: dict[int, list[Work]] = {}
        self._numbers = count()

    def submit(self, work: Work) -> None:
        """Do work in stream order: now, or when the captured graph is replayed."""
        if self._captured is None:
            work()
        else:
            self._captured.append(work)

    def _not_captured(self, call: str) -> None:
        self.calls.append(call)
        if self._captured is not None:
            raise DeviceError(f"{call} during a capture")

    def activate(self) -> None:
        self.calls.append("activate")

    def allocate(self, size: int) -> int:
        self._not_captured("allocate")
        memory = np.full(max(size, 1) + ALIGNMENT, 0xA5, np.uint8)
        address = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
        self._memory[address] = memory
        return int(address)

    def free(self, address: int) -> None:
        self._not_captured("free")
        del self._memory[address]

    def host_array(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        self._not_captured("host_array")
        return np.empty(shape, dtype)

    def upload(self, target: int, source: NDArray[Any], stream: int) -> None:
        self._not_captured("upload")
        ctypes.memmove(target, source.ctypes.data, source.nbytes)

    def download(self, target: NDArray[Any], source: int, stream: int) -> None:
        self._not_captured("download")
        ctypes.memmove(target.ctypes.data, source, target.nbytes)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        self.calls.append("copy")
        self.submit(lambda: ctypes.memmove(target, source, size))

    def zero(self, target: int, size: int, stream: int) -> None:
        self.calls.append("zero")
        self.submit(lambda: ctypes.memset(target, 0, size))

    def launch(self, launch: Launch, stream: int) -> None:
        self.calls.append(launch.kernel)
        self.submit(lambda: _kernels.launch(launch.kernel, launch.arguments, 1))

    def new_stream(self) -> int:
        self._not_captured("new_stream")
        return 1

    def synchronize(self, stream: int) -> None:
        self._not_captured("synchronize")

    def begin_capture(self, stream: int) -> None:
        self._not_captured("begin_capture")
        self._captured = []

    def end_capture(self, stream: int) -> int:
        if self._captured is None:
            raise DeviceError("end_capture without a capture")
        graph = next(self._numbers)
        self._graphs[graph], self._captured = self._captured, None
        return graph

    def replay(self, graph: int, stream: int) -> None:
        self._not_captured("replay")
        for work in self._graphs[graph]:
            work()

    def forget(self, graph: int) -> None:
        self._not_captured("forget")
        del self._graphs[graph]
