"""What all discriminators between generated and real images have in common."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

#: What a reward averages: logits, or the probabilities that they stand for.
Average = Literal["logits", "probabilities"]


class Discriminator(nn.Module):
    """Scores feature maps of an image, given its class or a vector that sums up its prompt.

    Attributes:
        calibrated: Whether it wants to see real images before its training.

    Args:
        average: What a reward averages over all heads and places.
    """

    calibrated = False

    def __init__(self, average: Average) -> None:
        super().__init__()
        self.average = average

    def calibrate(self, maps: tuple[Tensor, ...]) -> None:
        """Take what is needed of the feature maps (N, C, h, w) of real images."""

    def fix(self) -> None:
        """Make the scores of an image independent of the images beside it, for good."""

    def forward(self, maps: tuple[Tensor, ...], told: Tensor) -> list[Tensor]:
        """Compute logits (N, places) of each map (N, C, h, w).

        Args:
            maps: The feature maps.
            told: Classes (N,) int64, or vectors (N, D) float32.
        """
        raise NotImplementedError

    def reward(self, logits: list[Tensor]) -> Tensor:
        """Return rewards (N,) in (0, 1); heads weigh the same, whatever their maps' sizes."""
        if self.average == "logits":
            return torch.stack([head.mean(dim=1) for head in logits]).mean(dim=0).sigmoid()
        return torch.stack([head.sigmoid().mean(dim=1) for head in logits]).mean(dim=0)
