"""Runs a device program: warmed, captured, replayed for every request."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adagen_rt.cuda import Driver
from adagen_rt.program.buffers import Buffer
from adagen_rt.program.program import Program
from adagen_rt.sampling.batches import Outcome
from adagen_rt.types import Arrays


class Runner:
    """One program on one stream, for one batch after the other.

    The program's memory is given back when it is closed, or cannot be warmed or captured.

    Args:
        program: The program to run.
        driver: The GPU.
        stream: Stream that runs the program.
        capture: Whether the program becomes a CUDA graph; else its ops are put on the stream one
            by one, which shows where a fault is.
    """

    def __init__(
        self, program: Program, driver: Driver, stream: int, *, capture: bool = True
    ) -> None:
        self.program = program
        self._driver = driver
        self._stream = stream
        self._graph: int | None = None
        try:
            self._image = self._host(program.request.whole)
            self._image[:] = 0
            self._request = program.request.views(self._image)
            self._results = {name: self._host(buffer) for name, buffer in program.results.items()}
            self._upload()
            # Graphs allocate and load at their first run, which a capture does not allow.
            self._enqueue()
            driver.synchronize(stream)
            if capture:
                self._graph = self._capture()
        except BaseException:
            program.buffers.free()
            raise

    def run(
        self, rows: Arrays, seeds: NDArray[np.int64], fidelity: NDArray[np.float32] | None = None
    ) -> Outcome:
        """Generate one batch: upload, replay, download, one wait; the next overwrites its arrays.

        Args:
            rows: Conditions of the samples, named arrays (B, ...).
            seeds: Seeds (B,) int64, not negative.
            fidelity: Each sample's share of the second policy, in a program with two (B,), from
                0 to 1; None is 0.
        """
        self._fill(rows, seeds, fidelity)
        self._driver.activate()
        self._upload()
        if self._graph is None:
            self._enqueue()
        else:
            self._driver.replay(self._graph, self._stream)
        for name, array in self._results.items():
            self._driver.download(array, self.program.results[name].address, self._stream)
        self._driver.synchronize(self._stream)
        return Outcome(**self._results)

    def close(self) -> None:
        """Give the captured graph and the program's memory back; nothing runs after it."""
        self._driver.activate()
        if self._graph is not None:
            self._driver.forget(self._graph)
            self._graph = None
        self.program.buffers.free()

    def _fill(
        self, rows: Arrays, seeds: NDArray[np.int64], fidelity: NDArray[np.float32] | None
    ) -> None:
        batch, condition = self.program.batch, self.program.condition
        null = condition.null(rows) if condition.copies == 2 else {}
        for name in condition.tensors:
            self._request[name][:batch] = rows[name]
            if name in null:
                self._request[name][batch:] = null[name]
        self._request["seeds"][:] = seeds
        if "fidelity" in self._request:
            self._request["fidelity"][:] = 0 if fidelity is None else fidelity

    def _host(self, buffer: Buffer) -> NDArray[Any]:
        return self._driver.host_array(buffer.shape, buffer.dtype)

    def _upload(self) -> None:
        self._driver.upload(self.program.request.whole.address, self._image, self._stream)

    def _enqueue(self) -> None:
        for op in self.program.ops:
            op.enqueue(self._stream)

    def _capture(self) -> int:
        self._driver.begin_capture(self._stream)
        try:
            self._enqueue()
        except BaseException:
            self._abandon()
            raise
        return self._driver.end_capture(self._stream)

    def _abandon(self) -> None:
        """End a capture that failed; ignore the driver's further errors, as the first matters."""
        with suppress(Exception):
            self._driver.end_capture(self._stream)
