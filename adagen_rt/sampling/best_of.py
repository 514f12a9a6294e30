"""Best-of: several images of each sample are made, and the reward model keeps one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import take_rows
from adagen_rt.ops.philox import Purpose, words
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.types import Arrays, Run

Rewards = npt.NDArray[np.float32]


class Best:
    """Record of the best candidate of each sample so far.

    The highest reward wins; of equal ones, and where no reward is a number, the candidate with
    the lowest number. Candidates may come in any order.

    Args:
        count: Samples.

    Attributes:
        rewards: Rewards of the best candidates (count,); NaN without a reward.
        numbers: Numbers of the best candidates (count,); -1 before the first candidate.
    """

    def __init__(self, count: int) -> None:
        self.rewards: Rewards = np.full(count, np.nan, np.float32)
        self.numbers = np.full(count, -1)

    def offer(self, number: int, rewards: Rewards) -> npt.NDArray[np.bool_]:
        """Compare another candidate of every sample; tell where (count,) it is kept."""
        new, best = (np.where(np.isnan(x), -np.inf, x) for x in (rewards, self.rewards))
        earlier = (new == best) & (number < self.numbers)
        wins: npt.NDArray[np.bool_] = (self.numbers < 0) | (new > best) | earlier
        self.rewards = np.where(wins, rewards, self.rewards).astype(np.float32)
        self.numbers = np.where(wins, number, self.numbers)
        return wins


class Keeper:
    """Makes candidates of the same samples and keeps the best image of each.

    Args:
        request: The samples.
        make: Generates one image of each sample, and adds up its own timings.
        score: Gives rewards (B,) of images; NaN where it cannot.
    """

    def __init__(
        self,
        request: Request,
        make: Callable[[Request], Result],
        score: Callable[[Result], Rewards],
    ) -> None:
        self._request, self._make, self._score = request, make, score
        self._best = Best(len(request))
        self._made = 0
        self._result: Result | None = None

    def best_of(self, number: int) -> Result:
        """Return the best of the first ``number`` candidates, no fewer than in earlier calls."""
        while self._made < number:
            self._add(self._made)
            self._made += 1
        assert self._result is not None  # number is at least one
        return replace(self._result, rewards=self._best.rewards)

    def _add(self, number: int) -> None:
        seeds = candidate_seeds(self._request.seeds, number)
        made = self._make(replace(self._request, seeds=seeds))
        rewards = np.array(self._score(made), np.float32)
        rewards[list(made.failures)] = np.nan
        wins = self._best.offer(number, rewards)
        self._result = made if self._result is None else _merge(self._result, made, wins)


def candidate_seeds(seeds: npt.NDArray[np.int64], number: int) -> npt.NDArray[np.int64]:
    """Return a candidate's seeds (B,): the samples' own for number 0, else 63 bits of Philox."""
    if number == 0:
        return seeds
    random = words(seeds, np.full_like(seeds, number), Purpose.SEED, 2)
    return np.asarray((random[:, 0] << 31) | (random[:, 1] >> 1))


def score_images(run: Run, images: Images, rows: Arrays, batch_size: int) -> Rewards:
    """Score images (B,) by the reward model, which sees bytes as in training.

    Args:
        run: The graph ``reward``, over host arrays.
        images: (B, height, width, channels) uint8.
        rows: Conditions of the images, named arrays (B, ...).
        batch_size: Images that are scored together.
    """
    scores = []
    for first in range(0, len(images), batch_size):
        part = slice(first, first + batch_size)
        image = np.moveaxis(images[part], -1, 1).astype(np.float32) / np.float32(255)
        outputs = run({"image": image, **take_rows(rows, part)})
        scores.append(np.array(outputs["reward"]))
    return np.concatenate(scores)


def _merge(best: Result, other: Result, wins: npt.NDArray[np.bool_]) -> Result:
    """Replace the samples of ``best`` by those of ``other`` where it wins (B,)."""
    return replace(
        best,
        images=np.where(wins[:, None, None, None], other.images, best.images),
        seeds=np.where(wins, other.seeds, best.seeds),
        schedule={
            name: np.where(wins, other.schedule[name], values)
            for name, values in best.schedule.items()
        },
        evaluations=np.where(wins, other.evaluations, best.evaluations),
        # A failed sample has no reward, so that it never wins.
        failures={place: step for place, step in best.failures.items() if not wins[place]},
    )
