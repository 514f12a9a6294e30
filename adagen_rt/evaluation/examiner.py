"""The network that scores are measured with: never seen by a reward or a tokenizer.

A policy adapts to the features that its reward is computed from. Distances are therefore
measured in the features of another network, of another architecture and seed.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.classifier import load_network
from adagen_rt.models.known_images import CLASS_NAMES

#: Weights of the examiner that every published score was measured with.
WEIGHTS = Path(__file__).parent / "assets" / "fashion_examiner.safetensors"
WIDTHS = (24, 48, 96)
FEATURES = WIDTHS[-1]


class Residual(nn.Module):
    """Two normalised 3 x 3 convolutions and a shortcut; (N, i, h, w) to (N, o, h/s, w/s)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.enter = nn.BatchNorm2d(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.inner = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        h = F.relu(self.enter(x))
        out: Tensor = self.shortcut(h) + self.second(F.relu(self.inner(self.first(h))))
        return out


class Examiner(nn.Module):
    """A small residual network (arXiv 1603.05027) with average pooling before its head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        blocks = [Residual(WIDTHS[0], WIDTHS[0], 1)]
        for inputs, outputs in pairwise(WIDTHS):
            blocks += [Residual(inputs, outputs, 2), Residual(outputs, outputs, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(FEATURES)
        self.head = nn.Linear(FEATURES, len(CLASS_NAMES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, 1, 32, 32) in [0, 1] to logits (N, 10) and features (N, 96)."""
        maps = F.relu(self.norm(self.blocks(self.stem(images))))
        features = maps.mean(dim=(2, 3))
        return self.head(F.dropout(features, 0.2, self.training)), features


def load_examiner() -> Examiner:
    """Load the trained examiner in evaluation mode."""
    return load_network(Examiner(), WEIGHTS)
