"""Frozen features that rewards are computed from.

The demo's rewards use the features of a small classifier. Rewards of full-size policies use a
vision transformer, as in AdaGen (arXiv 2603.06993); `load_vit_features` reads its weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.classifier import Classifier
from adagen_rt.models.vit import HEAD_PREFIXES, ViT, ViTConfig

#: Mean and deviation of ImageNet's channels, with which published transformers were trained.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
#: Blocks whose tokens the discriminator sees, evenly spread up to the last.
TAPS = 4


class Features(Protocol):
    """A frozen network that computes several feature maps of an image.

    Attributes:
        widths: Channels of each map.
    """

    widths: tuple[int, ...]

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps (N, C, h, w), of different sizes, of images (N, c, H, W) in [0, 1]."""


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
        """Compute the feature maps of images (N, 1, 32, 32) in [0, 1]."""
        maps = self.classifier.maps(images)
        return tuple(maps[layer] for layer in self.LAYERS)


class ViTFeatures(nn.Module):
    """Token maps of a vision transformer after some of its blocks.

    Args:
        network: The transformer, which is frozen.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: ViT) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        depth, width = network.config.depth, network.config.width
        count = min(TAPS, depth)
        self.taps = tuple(depth * (i + 1) // count - 1 for i in range(count))
        self.widths: tuple[int, ...] = (width,) * count
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps (N, C, grid, grid) of colour images (N, 3, H, W) in [0, 1], of any size."""
        config = self.network.config
        side = config.grid * config.patch
        if images.shape[-1] != side:
            images = F.interpolate(images, (side, side), mode="bicubic", antialias=True)
        tokens = self.network((images - self.mean) / self.deviation)
        shape = (config.grid, config.grid)
        return tuple(tokens[tap].transpose(1, 2).unflatten(2, shape) for tap in self.taps)


def load_vit_features(path: Path) -> ViTFeatures:
    """Load the features of the transformer in a file, a DINO or timm checkpoint of any size.

    Raises:
        CheckpointError: The file is not of such a network, or could run code.
    """
    state = load_state(path)
    network = ViT(ViTConfig.of(state))
    load_strict(network, state, ignore=HEAD_PREFIXES)
    return ViTFeatures(network)
