"""The result of one request to the device loop, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.manifest import Manifest
from adagen_rt.program import Outcome
from adagen_rt.sampling.loop import Decision, Timings
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result, Step

Rows = npt.NDArray[np.int64]


class BatchedResult:
    """What has come of a request so far.

    Args:
        request: The samples.
        manifest: The engine's.
        timings: Goes on with them.
    """

    def __init__(self, request: Request, manifest: Manifest, timings: Timings) -> None:
        image = manifest.image
        self.request = request
        self.timings = timings
        self._names = manifest.schedule.names
        self._images: Images = np.zeros(
            (len(request), image.size, image.size, image.channels), np.uint8
        )
        self._traces: list[npt.NDArray[np.float32]] = []
        self._failures: dict[int, int] = {}

    def add(self, rows: Rows, outcome: Outcome) -> None:
        """Keep what came of the samples at ``rows``; the rest of the batch are repeats."""
        count = len(rows)
        self._images[rows] = outcome.images[:count]
        self._traces.append(outcome.trace[..., :count].copy())
        failed = outcome.failed[:count]
        self._failures |= {int(rows[i]): int(failed[i]) for i in np.flatnonzero(failed)}

    def step(self, rows: Rows, outcome: Outcome) -> Step:
        """A batch as the one step that the host sees of it."""
        steps = self.request.steps
        return Step(
            number=steps,
            steps=steps,
            decisions=tuple(self._decisions(rows, self._traces[-1])),
            running=rows[:0],
            advanced=len(rows) * steps,
            seconds=dict(self.timings.seconds),
            preview=lambda: self._images[rows],
        )

    def result(self) -> Result:
        """All of it."""
        trace = np.concatenate(self._traces, axis=2)
        return Result(
            images=self._images,
            labels=self.request.labels,
            seeds=self.request.seeds,
            schedule={name: trace[:, place] for place, name in enumerate(self._names)},
            failures=self._failures,
            timings=self.timings,
        )

    def _decisions(self, rows: Rows, trace: npt.NDArray[np.float32]) -> Iterator[Decision]:
        """What each call chose for the samples that needed it."""
        for call, chosen in enumerate(trace):
            needed = np.flatnonzero(~np.isnan(chosen).all(axis=0))
            actions = dict(zip(self._names, chosen[:, needed], strict=True))
            yield Decision(rows[needed], np.full(len(needed), call), actions)
