"""The result of one request to a captured pipeline, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.manifest import Manifest
from adagen_rt.program import Outcome
from adagen_rt.sampling.loop import Decision, Timings
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result, Step, blank_images, count_evaluations

Places = npt.NDArray[np.int64]


class BatchedResult:
    """Images and decisions of a request so far.

    Args:
        request: The samples.
        manifest: The engine's.
        timings: Seconds by part; the result has them.
    """

    def __init__(self, request: Request, manifest: Manifest, timings: Timings) -> None:
        self.request = request
        self.timings = timings
        self._condition = manifest.condition
        self._names = manifest.schedule.names
        self._images = blank_images(len(request), manifest.image)
        self._traces: list[npt.NDArray[np.float32]] = []
        self._failures: dict[int, int] = {}

    def add(self, places: Places, outcome: Outcome) -> None:
        """Keep the outcome of the samples at ``places``; the rest of the batch are repeats."""
        count = len(places)
        self._images[places] = outcome.images[:count]
        self._traces.append(outcome.trace[..., :count].copy())
        failed = outcome.failed[:count]
        self._failures |= {int(places[i]): int(failed[i]) for i in np.flatnonzero(failed)}

    def step(self, places: Places, outcome: Outcome) -> Step:
        """Describe a batch as the one step that the host sees of it."""
        steps = self.request.steps
        return Step(
            number=steps,
            steps=steps,
            decisions=tuple(self._decisions(places, self._traces[-1])),
            running=places[:0],
            advanced=len(places) * steps,
            seconds=dict(self.timings.seconds),
            preview=lambda: self._images[places],
        )

    def result(self) -> Result:
        """Return the result of the whole request."""
        trace = np.concatenate(self._traces, axis=2)
        schedule = {name: trace[:, place] for place, name in enumerate(self._names)}
        return Result(
            condition=self._condition,
            images=self._images,
            rows=self.request.rows,
            seeds=self.request.seeds,
            schedule=schedule,
            evaluations=count_evaluations(schedule, self.request.steps),
            failures=self._failures,
            timings=self.timings,
        )

    def _decisions(self, places: Places, trace: npt.NDArray[np.float32]) -> Iterator[Decision]:
        """Yield each call's decision for the samples that needed it."""
        for call, chosen in enumerate(trace):
            needed = np.flatnonzero(~np.isnan(chosen).all(axis=0))
            actions = dict(zip(self._names, chosen[:, needed], strict=True))
            yield Decision(places[needed], np.full(len(needed), call), actions)
