"""Best-of N for a growing N: the candidates of a smaller N are not made again."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from adagen_rt.evaluation.choices import Choice
from adagen_rt.evaluation.sources import Made, Source, draw_requests, make_images
from adagen_rt.sampling.best_of import Rewards, candidate_seeds, is_better


class Candidates:
    """The best so far of the same samples; what `Generator.generate` would give for as many.

    Args:
        source: Makes images, and has a reward model.
        choice: How.
        count: Samples.
        seed: Which.

    Raises:
        AdagenError: The source has no reward model.
    """

    def __init__(self, source: Source, choice: Choice, count: int, seed: int) -> None:
        self._source, self._choice, self._reward = source, choice, source.reward()
        self._labels, self._seeds = draw_requests(count, source.manifest.class_count, seed)
        self._number = 0
        self._best: Made | None = None
        self._rewards: Rewards = np.full(count, np.nan, np.float32)

    def best_of(self, number: int) -> Made:
        """The best of the first ``number`` candidates, no fewer than in earlier calls."""
        assert number >= max(self._number, 1)
        while self._number < number:
            self._add(self._make(self._number))
            self._number += 1
        assert self._best is not None
        return self._best

    def _make(self, number: int) -> Made:
        seeds = torch.from_numpy(candidate_seeds(self._seeds.numpy(), number))
        title = f"candidate {number}"
        return make_images(self._source, self._choice, self._labels, seeds, title)

    def _add(self, made: Made) -> None:
        rewards = np.where(made.failed.numpy(), np.float32(np.nan), self._reward(made))
        if self._best is None:
            self._best, self._rewards = made, rewards
            return
        wins = is_better(rewards, self._rewards)
        self._rewards = np.where(wins, rewards, self._rewards)
        self._best = _merge(self._best, made, torch.from_numpy(wins))


def _merge(best: Made, other: Made, wins: Tensor) -> Made:
    """The images of `other` where it wins (N,), and the cost of both."""
    return Made(
        torch.where(wins[:, None, None, None], other.images, best.images),
        best.labels,
        best.rows + other.rows,
        torch.where(wins, other.failed, best.failed),
    )
