"""The price of an evaluation, for policies that may stop early."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.training.policy.parallel import Workers
from adagen_rt.training.policy.rollout import Trajectories
from adagen_rt.training.policy.settings import PolicyTraining


class StepCost:
    """Takes a price for every evaluation off the rewards of an update.

    The price is in standard deviations of the update's rewards, so that it means the same to
    every reward. With a target it is a dual variable: it rises while samples take more evaluations
    than that, and falls, to 0 at the lowest, while they take fewer.

    Args:
        manifest: The generator's, whose schedule may stop.
        config: Settings of the training.
        workers: The processes that learn together.

    Attributes:
        price: What an evaluation costs.

    Raises:
        InputError: A price or a target without a schedule that may stop.
    """

    def __init__(self, manifest: Manifest, config: PolicyTraining, workers: Workers) -> None:
        steps = manifest.schedule.steps
        for name in ("step_cost", "target_evaluations"):
            if getattr(config, name) and not manifest.schedule.stopping:
                expected = "0 where the schedule has no stopping: true"
                raise InputError(name, getattr(config, name), expected)
        if config.target_evaluations > steps:
            raise InputError("target_evaluations", config.target_evaluations, f"at most {steps}")
        self._config, self._workers = config, workers
        self._first = manifest.calls - steps
        self.price = config.step_cost

    def apply(self, played: Trajectories, rewards: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Take the price off rewards (B,), and move it towards the target.

        Args:
            played: Trajectories, of which those that failed count for nothing.
            rewards: What their images are worth (B,).

        Returns:
            The rewards, and numbers for the log.
        """
        counts = played.valid[self._first :].sum(dim=0).to(rewards.dtype)
        counted = ~played.failed
        _, deviation = self._workers.moments(rewards, counted)
        average, _ = self._workers.moments(counts, counted)
        price = self.price
        target = self._config.target_evaluations
        if target:
            self.price = max(0.0, price + self._config.step_cost_rate * (average - target))
        numbers = {"evaluations": average, "step_cost": price}
        return rewards - price * deviation * counts, numbers

    def state_dict(self) -> dict[str, Any]:
        """The price, which a target moves."""
        return {"price": torch.tensor(self.price, dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a saved price."""
        self.price = float(state["price"])
