"""What a reward is, and a sum of several."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.training.policy.adversarial import Fresh
from adagen_rt.training.policy.environment import Tensors


class Reward(ABC):
    """Scores images; may learn from them, as a discriminator does."""

    @abstractmethod
    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the rewards (B,) of images (B, c, H, W) in [0, 1] made for rows (B, ...).

        The generator chooses how images are looked at, where that is left to chance.
        """

    def learn(
        self, images: Tensor, rows: Tensors, generator: torch.Generator, fresh: Fresh
    ) -> dict[str, float]:
        """Learn from generated images that were scored, or from fresh ones.

        Returns:
            Numbers for the log.
        """
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that changes during training."""
        return {}

    def discriminator(self) -> nn.Module | None:
        """The discriminator that is trained alongside, if there is one."""
        return None

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 (most keep no state)
        """Continue from an earlier state."""


class SumReward(Reward):
    """A weighted sum of rewards.

    Args:
        parts: Weight and reward by name.
    """

    def __init__(self, parts: Mapping[str, tuple[float, Reward]]) -> None:
        self.parts = dict(parts)

    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the weighted sum of the parts' rewards."""
        parts = self.parts.values()
        scores = [weight * part.score(images, rows, generator) for weight, part in parts]
        return torch.stack(scores).sum(dim=0)

    def learn(
        self, images: Tensor, rows: Tensors, generator: torch.Generator, fresh: Fresh
    ) -> dict[str, float]:
        """Let every part learn."""
        stats: dict[str, float] = {}
        for _, part in self.parts.values():
            stats |= part.learn(images, rows, generator, fresh)
        return stats

    def state_dict(self) -> dict[str, Any]:
        """The parts' states by name."""
        return {name: part.state_dict() for name, (_, part) in self.parts.items()}

    def discriminator(self) -> nn.Module | None:
        """The discriminator of the adversarial part, if there is one."""
        found = (part.discriminator() for _, part in self.parts.values())
        return next((network for network in found if network is not None), None)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every part."""
        for name, (_, part) in self.parts.items():
            part.load_state_dict(state[name])
