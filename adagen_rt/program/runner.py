"""Runs a device program: warmed, captured, replayed for every request."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from adagen_rt.cuda import Driver
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.program import Op, Program

#: What to capture: the whole generation as one graph, every step as its own, or nothing.
Capture = Literal["whole", "steps", "none"]
#: What every run brings back to the host.
RESULTS = ("images", "failed", "trace")


@dataclass(frozen=True)
class Outcome:
    """What came of one batch; arrays are the runner's own until its next run.

    Attributes:
        images: (B, H, W, channels) uint8; black where a sample failed.
        failed: (B,) int64: the evaluation, from 1, at which a sample failed; 0 for none.
        trace: (calls, actions, B) float32: what was chosen, NaN where it was not needed.
    """

    images: NDArray[np.uint8]
    failed: NDArray[np.int64]
    trace: NDArray[np.float32]


class Runner:
    """One program on one stream, for one batch after the other.

    Args:
        program: What to run.
        driver: The GPU.
        stream: Where everything runs.
        capture: What becomes a CUDA graph.
    """

    def __init__(
        self, program: Program, driver: Driver, stream: int, capture: Capture = "whole"
    ) -> None:
        self.program = program
        self._driver = driver
        self._stream = stream
        self._request = driver.host_array(program.request.shape, np.int64)
        self._results = {name: self._host(program.named[name]) for name in RESULTS}
        self._request[:] = 0
        self._shares = None if program.shares is None else self._host(program.shares)
        if self._shares is not None:
            self._shares[:] = 0
        self._upload()
        # Graphs allocate and load at their first run, which a capture does not allow.
        self._enqueue([op for part in program.parts for op in part])
        driver.synchronize(stream)
        self._graphs = [self._captured(part) for part in self._captures(capture)]

    def run(
        self,
        labels: NDArray[np.int64],
        seeds: NDArray[np.int64],
        shares: NDArray[np.float32] | None = None,
    ) -> Outcome:
        """Generate one batch.

        Args:
            labels: Classes (B,) int64.
            seeds: Seeds (B,) int64, not negative.
            shares: Of a program with two policies, how far each sample follows the second
                (B,), from 0 to 1; None is 0.
        """
        self.start(labels, seeds, shares)
        if not self._graphs:
            self._enqueue([op for part in self.program.parts for op in part])
        for graph in self._graphs:
            self._driver.replay(graph, self._stream)
        return self.finish()

    def start(
        self,
        labels: NDArray[np.int64],
        seeds: NDArray[np.int64],
        shares: NDArray[np.float32] | None = None,
    ) -> None:
        """Bring a request to the device; arguments as for ``run``."""
        batch = self.program.batch
        self._request[:batch] = labels
        self._request[batch : 2 * batch] = self.program.class_count
        self._request[2 * batch :] = seeds
        if self._shares is not None:
            self._shares[:] = 0 if shares is None else shares
        self._driver.activate()
        self._upload()

    def replay(self, part: int) -> None:
        """Replay one captured part: with ``steps``, 0 begins and the last decodes."""
        self._driver.replay(self._graphs[part], self._stream)

    def finish(self) -> Outcome:
        """Bring the results back: the only time that the host waits for the device."""
        for name, array in self._results.items():
            self._driver.download(array, self.program.named[name].address, self._stream)
        self._driver.synchronize(self._stream)
        return Outcome(**self._results)

    def close(self) -> None:
        """Give the captured graphs and the program's memory back; nothing runs after it."""
        self._driver.activate()
        while self._graphs:
            self._driver.forget(self._graphs.pop())
        self.program.buffers.free()

    def read(self, name: str) -> NDArray[Any]:
        """A named buffer as it stands, for tests and checks."""
        buffer = self.program.named[name]
        array = self._host(buffer)
        self._driver.download(array, buffer.address, self._stream)
        self._driver.synchronize(self._stream)
        return array

    def _host(self, buffer: Buffer) -> NDArray[Any]:
        return self._driver.host_array(buffer.shape, buffer.dtype)

    def _upload(self) -> None:
        self._driver.upload(self.program.request.address, self._request, self._stream)
        if self._shares is not None and self.program.shares is not None:
            self._driver.upload(self.program.shares.address, self._shares, self._stream)

    def _enqueue(self, ops: list[Op]) -> None:
        for op in ops:
            op.enqueue(self._stream)

    def _captures(self, capture: Capture) -> list[list[Op]]:
        parts = [list(part) for part in self.program.parts]
        if capture == "whole":
            return [[op for part in parts for op in part]]
        return parts if capture == "steps" else []

    def _captured(self, ops: list[Op]) -> int:
        self._driver.begin_capture(self._stream)
        try:
            self._enqueue(ops)
        except BaseException:
            self._abandon()
            raise
        return self._driver.end_capture(self._stream)

    def _abandon(self) -> None:
        """End a capture that failed, whatever the driver says: the first error matters."""
        with suppress(Exception):
            self._driver.end_capture(self._stream)
