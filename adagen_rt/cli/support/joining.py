"""The batches of a run as one result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from adagen_rt.condition import join_rows
from adagen_rt.sampling.loop import Timings
from adagen_rt.sampling.origin import Origin
from adagen_rt.sampling.result import Result


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
        evaluations=np.concatenate([part.evaluations for part in parts]),
        failures=failures,
        timings=_add(part.timings for part in parts),
        rewards=np.concatenate(rewards) if rewards else None,
        made_by=Origin.join([part.origin for part in parts]),
    )


def _add(parts: Iterable[Timings]) -> Timings:
    seconds: dict[str, float] = defaultdict(float)
    rows = 0
    for part in parts:
        rows += part.backbone_rows
        for name, value in part.seconds.items():
            seconds[name] += value
    return Timings(seconds, rows)
