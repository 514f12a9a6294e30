"""Best-of: several images of each sample are made, and the reward model keeps one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adagen_rt.ops.philox import Purpose, words
from adagen_rt.sampling.loop import Arrays
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result

Rewards = npt.NDArray[np.float32]


def keep_best(
    request: Request, make: Callable[[Request], Result], reward: Callable[[Result], Rewards]
) -> Result:
    """The best image of each sample; the first, which has the sample's own seed, wins ties.

    Args:
        request: The samples; ``best_of`` says how many images of each to make.
        make: Generates one image of each sample. What it times is added up by itself.
        reward: Scores images (B,); NaN where it cannot.
    """
    best: Result | None = None
    for number in range(request.best_of):
        seeds = candidate_seeds(request.seeds, number)
        made = make(replace(request, seeds=seeds))
        scores = np.array(reward(made), np.float32)
        scores[list(made.failures)] = np.nan
        made = replace(made, rewards=scores)
        best = made if best is None else _best(best, made)
    assert best is not None  # a checked request asks for one at least
    return best


def candidate_seeds(seeds: npt.NDArray[np.int64], number: int) -> npt.NDArray[np.int64]:
    """Seeds (B,) of a sample's candidates: its own for number 0, then 63 bits of Philox."""
    if number == 0:
        return seeds
    random = words(seeds, np.full_like(seeds, number), Purpose.SEED, 2)
    derived: npt.NDArray[np.int64] = (random[:, 0] << 31) | (random[:, 1] >> 1)
    return derived


def score_images(
    graph: Callable[[Arrays], Arrays],
    images: Images,
    labels: npt.NDArray[np.int64],
    batch_size: int,
) -> Rewards:
    """What the reward graph gives images (B,), as the reward saw them in training: of bytes."""
    scores = []
    for first in range(0, len(labels), batch_size):
        rows = slice(first, first + batch_size)
        image = np.moveaxis(images[rows], -1, 1).astype(np.float32) / np.float32(255)
        outputs = graph({"image": image, "labels": labels[rows]})
        scores.append(np.array(outputs["reward"]))
    return np.concatenate(scores)


def is_better(rewards: Rewards, best: Rewards) -> npt.NDArray[np.bool_]:
    """Where (B,) later candidates beat the best so far: ties do not, and NaN never does."""
    wins: npt.NDArray[np.bool_]
    wins = np.nan_to_num(rewards, nan=-np.inf) > np.nan_to_num(best, nan=-np.inf)
    return wins


def _best(best: Result, other: Result) -> Result:
    """For each sample, the one of two results with the higher reward."""
    assert best.rewards is not None
    assert other.rewards is not None
    wins = is_better(other.rewards, best.rewards)
    return replace(
        best,
        images=np.where(wins[:, None, None, None], other.images, best.images),
        seeds=np.where(wins, other.seeds, best.seeds),
        schedule={
            name: np.where(wins, other.schedule[name], values)
            for name, values in best.schedule.items()
        },
        failures={place: step for place, step in best.failures.items() if not wins[place]},
        rewards=np.where(wins, other.rewards, best.rewards),
    )
