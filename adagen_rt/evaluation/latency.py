"""Latency of whole generations, divided by step and part."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import EngineError
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request
from adagen_rt.sampling.result import Step

PERCENTILES = (50, 90, 99)
#: The parts that a generation measures itself; the rest of its time is the host's.
PARTS = ("backbone", "policy", "sampling", "decoder")
HOST = "host"


@dataclass(frozen=True)
class Plan:
    """Settings of the measurement at each batch size.

    Attributes:
        params: Sampling parameters, complete and checked.
        warmups: Generations made first and not counted.
        repeats: Generations counted.
    """

    params: SamplingParams
    warmups: int
    repeats: int

    @property
    def steps(self) -> int:
        """Backbone evaluations."""
        assert self.params.steps is not None  # a checked object has them
        return self.params.steps


@dataclass(frozen=True)
class Measurement:
    """Generations of one batch size.

    Attributes:
        batch: Images made together.
        seconds: Duration of each whole generation (repeats,) float64.
        profile: Mean seconds by row and part (rows, parts) float64: a row for every step, and a
            last one for the work after the steps; the columns are ``PARTS`` and ``HOST``.
    """

    batch: int
    seconds: npt.NDArray[np.float64]
    profile: npt.NDArray[np.float64]

    @property
    def percentiles(self) -> tuple[float, ...]:
        """Latencies in seconds at each of ``PERCENTILES``."""
        return tuple(np.percentile(self.seconds, PERCENTILES).tolist())

    @property
    def images_per_second(self) -> float:
        """Throughput over all generations that were counted."""
        return self.batch * len(self.seconds) / float(self.seconds.sum())

    def facts(self) -> dict[str, Any]:
        """Latencies in milliseconds, and the throughput."""
        latencies = zip(PERCENTILES, self.percentiles, strict=True)
        return {
            "batch": self.batch,
            **{f"p{percent}_ms": 1e3 * seconds for percent, seconds in latencies},
            "images_per_second": self.images_per_second,
        }


def measure(
    pipeline: Pipeline,
    batch: int,
    plan: Plan,
    progress: Callable[[Step], object],
) -> Measurement:
    """Time generations of one batch size, each with its own seeds.

    Raises:
        EngineError: A sample met a non-finite number and was not generated to its end.
    """
    runs = [
        _generate(pipeline, batch, plan, number, progress)
        for number in range(plan.warmups + plan.repeats)
    ][plan.warmups :]
    laps = np.stack(runs)
    # Means, so that steps and parts add up to the whole; a step not taken counts as 0 seconds.
    return Measurement(batch, laps.sum(axis=(1, 2)), laps.mean(axis=0))


def _generate(
    pipeline: Pipeline,
    batch: int,
    plan: Plan,
    number: int,
    progress: Callable[[Step], object],
) -> npt.NDArray[np.float64]:
    """Return the seconds of one generation by row and part (steps + 1, parts + 1) float64."""
    samples = pipeline.manifest.condition.examples(batch)
    seeds = range(number * batch, (number + 1) * batch)
    marks, rows = [(time.perf_counter(), dict[str, float]())], list[int]()

    def watch(step: Step) -> None:
        marks.append((time.perf_counter(), step.seconds))
        rows.append(step.number - 1)
        progress(step)

    request = make_request(pipeline.manifest, samples, seeds, plan.params)
    result = pipeline.run(request, batch_size=batch, progress=watch)
    end = (time.perf_counter(), dict(result.timings.seconds))
    for place, step in result.failures.items():
        asked = pipeline.manifest.condition.describe(result.rows, place) | {"seed": seeds[place]}
        sample = ", ".join(f"{name} {value}" for name, value in asked.items())
        raise EngineError(
            f"{pipeline.engine.path}: {sample}: met a non-finite number at step {step}, "
            "expected a whole generation"
        )
    return _laps([*marks, end], [*rows, plan.steps], plan.steps)


def _laps(
    marks: list[tuple[float, dict[str, float]]], rows: list[int], steps: int
) -> npt.NDArray[np.float64]:
    """Subtract successive marks of the clock and the parts; the remainder is the host's time.

    With best-of, the times of all candidates are added up by step. The time between two
    candidates counts as part of the first step.
    """
    table = np.zeros((steps + 1, len(PARTS) + 1))
    for row, (begin, finish) in zip(rows, pairwise(marks), strict=True):
        parts = [finish[1].get(name, 0.0) - begin[1].get(name, 0.0) for name in PARTS]
        table[row] += [*parts, finish[0] - begin[0] - sum(parts)]
    return table
