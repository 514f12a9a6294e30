"""Requests whose steps the host does not see: a batch of samples is one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.manifest import Manifest
from adagen_rt.sampling.loop import Decision, Timings
from adagen_rt.sampling.request import Places, Request
from adagen_rt.sampling.result import Images, Result, Step, count_evaluations

if TYPE_CHECKING:
    from adagen_rt.sampling.best_of import Rewards


@dataclass(frozen=True)
class Outcome:
    """Results of one run of B samples.

    Attributes:
        images: (B, H, W, channels) uint8; black where a sample failed.
        failed: (B,) int64: the evaluation, from 1, at which a sample failed; 0 for none.
        trace: (calls, actions, B) float32: chosen actions, NaN where a sample needed none.
        seeds: Seeds of the candidates that were kept (B,) int64; None for those asked for.
        rewards: Their rewards (B,) float32, where the run scores them.
    """

    images: Images
    failed: npt.NDArray[np.int64]
    trace: npt.NDArray[np.float32]
    seeds: npt.NDArray[np.int64] | None = None
    rewards: Rewards | None = None


def run_batches(
    request: Request,
    manifest: Manifest,
    timings: Timings,
    size: int,
    run: Callable[[Request], Outcome],
    progress: Callable[[Step], object] | None,
    candidates: int = 1,
) -> Result:
    """Make one image of every sample.

    Args:
        request: The samples.
        manifest: The engine's.
        timings: Seconds by part, and backbone rows, to which a run adds; the result has them.
        size: Samples of a run.
        run: Makes the images of some samples; the next run may overwrite its arrays, in which
            rows beyond the samples do not count.
        progress: Told of every run as of one step.
        candidates: Images that a run makes of each sample.
    """
    names, steps = manifest.schedule.names, request.steps
    runs: list[Outcome] = []
    for first in range(0, len(request), size):
        places = np.arange(first, min(first + size, len(request)))
        made = _copied(run(request.take(places)), len(places))
        runs.append(made)
        if progress is not None:
            step = Step(
                number=steps,
                steps=steps,
                decisions=tuple(_decisions(places, names, made.trace)),
                running=places[:0],
                advanced=len(places) * steps * candidates,
                seconds=dict(timings.seconds),
                preview=lambda images=made.images: images,  # type: ignore[misc]
            )
            progress(step)
    return _result(_joined(runs), request, manifest, timings)


def _copied(made: Outcome, count: int) -> Outcome:
    """Copy the first samples of every array."""
    there = {name: x for name, x in vars(made).items() if x is not None}
    rows = {name: np.take(x, range(count), _axis(name)) for name, x in there.items()}
    return replace(made, **rows)


def _joined(runs: list[Outcome]) -> Outcome:
    names = [name for name, x in vars(runs[0]).items() if x is not None]
    parts = {name: [getattr(run, name) for run in runs] for name in names}
    joined = {name: np.concatenate(found, _axis(name)) for name, found in parts.items()}
    return replace(runs[0], **joined)


def _axis(name: str) -> int:
    """Axis of the samples in a run's array."""
    return 2 if name == "trace" else 0


def _result(made: Outcome, request: Request, manifest: Manifest, timings: Timings) -> Result:
    schedule = {name: made.trace[:, i] for i, name in enumerate(manifest.schedule.names)}
    return Result(
        condition=manifest.condition,
        images=made.images,
        rows=request.rows,
        seeds=request.seeds if made.seeds is None else made.seeds,
        schedule=schedule,
        evaluations=count_evaluations(schedule, request.steps),
        failures={int(place): int(made.failed[place]) for place in np.flatnonzero(made.failed)},
        timings=timings,
        rewards=made.rewards,
    )


def _decisions(
    places: Places, names: tuple[str, ...], trace: npt.NDArray[np.float32]
) -> Iterator[Decision]:
    """Yield each call's decision for the samples that needed it."""
    for call, chosen in enumerate(trace):
        needed = np.flatnonzero(~np.isnan(chosen).all(axis=0))
        actions = dict(zip(names, chosen[:, needed], strict=True))
        yield Decision(places[needed], np.full(len(needed), call), actions)
