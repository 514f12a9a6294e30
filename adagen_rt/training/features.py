"""Frozen features that rewards look at images through.

To train a full-size policy against another network (AdaGen, arXiv 2603.06993, takes a ViT),
write an `nn.Module` with the two members of `Features` and hand it to
`AdversarialReward`; a ViT's tokens (N, n, C) become a map by
`tokens.transpose(1, 2).unflatten(2, (side, side))`, and resizing and normalising the images
belongs into its `forward`. Its weights are loaded with
`adagen_rt.models.checkpoint.load_state`, which runs no code from the file.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from adagen_rt.training.classifier import Classifier


class Features(Protocol):
    """A frozen network that gives several maps of an image.

    Attributes:
        widths: Channels of each map.
    """

    widths: tuple[int, ...]

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (N, C, h, w), each of its own size, of images (N, c, H, W) in [0, 1]."""


class ClassifierFeatures(nn.Module):
    """The classifier's last three convolutions: 16 x 16, 8 x 8 and 4 x 4 maps of 32 x 32."""

    LAYERS = (1, 2, 3)

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        layers: list[Any] = list(classifier.convolutions)
        self.widths: tuple[int, ...] = tuple(layers[i].out_channels for i in self.LAYERS)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of images (N, 1, 32, 32) in [0, 1]."""
        maps = self.classifier.maps(images)
        return tuple(maps[layer] for layer in self.LAYERS)
