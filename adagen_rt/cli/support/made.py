"""What a run of `generate` is asked for, and what has come of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import join_rows
from adagen_rt.engine.manifest import Manifest
from adagen_rt.sampling.loop import Timings
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result

Facts = dict[str, Any]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Made:
    """Images of a run, all or a batch.

    Attributes:
        manifest: The engine's.
        request: What was asked for.
        result: What was generated, sample by sample as it was asked for.
        numbers: Number of each image in the whole run (B,).
        facts: What all images of the run have in common.
    """

    manifest: Manifest
    request: Request
    result: Result
    numbers: Numbers
    facts: Facts

    @property
    def good(self) -> list[int]:
        """Places of the images that did not fail."""
        return self.result.good

    def without_images(self) -> Made:
        """Let go of the images, which have been written."""
        return replace(self, result=replace(self.result, images=self.result.images[:0]))


def join_results(parts: Sequence[Result]) -> Result:
    """Put the samples of several results one after the other."""
    failures: dict[int, int] = {}
    first = 0
    for part in parts:
        failures |= {first + place: step for place, step in part.failures.items()}
        first += len(part)
    rewards = [part.rewards for part in parts if part.rewards is not None]
    return Result(
        condition=parts[0].condition,
        images=np.concatenate([part.images for part in parts]),
        rows=join_rows([part.rows for part in parts]),
        seeds=np.concatenate([part.seeds for part in parts]),
        schedule={
            name: np.concatenate([part.schedule[name] for part in parts], axis=1)
            for name in parts[0].schedule
        },
        failures=failures,
        timings=_add(part.timings for part in parts),
        rewards=np.concatenate(rewards) if rewards else None,
    )


def _add(parts: Iterable[Timings]) -> Timings:
    seconds: dict[str, float] = defaultdict(float)
    rows = 0
    for part in parts:
        rows += part.backbone_rows
        for name, value in part.seconds.items():
            seconds[name] += value
    return Timings(seconds, rows)
