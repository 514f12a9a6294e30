"""Scores and pictures of a policy under training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adagen_rt.condition import classes_of, take_rows
from adagen_rt.evaluation.judge import Judge
from adagen_rt.training.grid import save_grid
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.policy.rollout import Exploration, Trajectories, rollout

#: Samples that are generated together, which bounds the memory of their features.
BATCH = 500
GRID_IMAGES = 100

Chosen = dict[str, npt.NDArray[np.float32]]
"""Actions by name (calls, samples), NaN where none was needed."""
Watcher = Callable[[Path, Chosen], object]
"""Called at every evaluation with the folder for pictures and the chosen actions."""


class Evaluator:
    """Generates without exploration, from seeds that are the same every time.

    Args:
        environment: The frozen generator.
        judge: Scores the images; None scores none.
        watch: Called with the chosen actions, to draw them.
        count: Images of an evaluation.
        batch_size: Samples that are generated together.
    """

    def __init__(
        self,
        environment: Environment,
        judge: Judge | None = None,
        watch: Watcher | None = None,
        count: int = 1000,
        batch_size: int = 128,
    ) -> None:
        self.environment, self.judge, self.watch = environment, judge, watch
        self.batch_size = batch_size
        self.seeds = torch.arange(count)
        self.rows = environment.rows(self.seeds)

    def __call__(self, policy: nn.Module, folder: Path, update: int) -> dict[str, float]:
        """Draw a grid of images; return the scores `fid` and `accuracy` that the judge gives."""
        played = [self._play(policy, seeds) for seeds in self.seeds.split(BATCH)]
        images = torch.cat([part.images for part in played])
        save_grid(images[:GRID_IMAGES], folder / f"samples_{update:06d}.png")
        if self.watch is not None:
            self.watch(folder, self._chosen(played))
        if self.judge is None:
            return {}
        meant = classes_of(self.rows).numpy() if "labels" in self.rows else None
        distance, accuracy = self.judge.quick_score(self.judge.see(images, meant))
        return {"fid": distance} | ({} if accuracy is None else {"accuracy": accuracy})

    def _play(self, policy: nn.Module, seeds: Tensor) -> Trajectories:
        still, rows = Exploration.none(self.environment, len(seeds)), take_rows(self.rows, seeds)
        return rollout(self.environment, policy, rows, seeds, still, batch_size=self.batch_size)

    def _chosen(self, played: list[Trajectories]) -> Chosen:
        """Join the actions of all samples; batches that ended earlier are filled with NaN."""
        columns = []
        for part in played:
            shape = (self.environment.calls, *part.actions.shape[1:])
            whole = np.full(shape, np.nan, np.float32)
            whole[: len(part.actions)] = part.actions.cpu().numpy()
            columns.append(whole)
        joined = np.concatenate(columns, axis=1)
        names = self.environment.manifest.schedule.names
        return {name: joined[..., column] for column, name in enumerate(names)}
