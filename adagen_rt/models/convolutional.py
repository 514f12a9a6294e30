"""A discriminator of two-dimensional convolutions, for the demo's features."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from adagen_rt.models.discriminator import Average, Discriminator

SLOPE = 0.2


class Head(nn.Module):
    """Scores every position of one feature map, given the class.

    All weights are spectrally normalised (arXiv 1802.05957), and the class enters as an inner
    product with the features (the projection discriminator, arXiv 1802.05637).

    Args:
        channels: Channels of the map.
        width: Channels of the hidden layer.
        classes: Number of classes, or width of the vectors in their place.
        vectors: Whether there are vectors.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, width: int, classes: int, vectors: bool = False) -> None:
        super().__init__()
        self.enter = spectral_norm(nn.Conv2d(channels, width, 1))
        self.mix = spectral_norm(nn.Conv2d(width, width, 3, padding=1))
        self.leave = spectral_norm(nn.Conv2d(width, 1, 1))
        embedding = nn.Linear(classes, width) if vectors else nn.Embedding(classes, width)
        self.classes = spectral_norm(embedding)
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Take the channels' mean and deviation from features (N, C, h, w) of real images."""
        deviation, mean = torch.std_mean(features, dim=(0, 2, 3), keepdim=True)
        self.mean.copy_(mean)
        self.scale.copy_(1 / deviation.clamp(min=1e-3))

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        """Compute logits (N, h * w) of a map (N, C, h, w) under classes (N,) or vectors (N, D)."""
        x = F.leaky_relu(self.enter((features - self.mean) * self.scale), SLOPE)
        x = x + F.leaky_relu(self.mix(x), SLOPE)
        x = x / math.sqrt(2)
        projected = (x * self.classes(classes)[:, :, None, None]).sum(dim=1)
        logits: Tensor = self.leave(x)[:, 0] + projected
        return logits.flatten(1)


class ConvolutionalDiscriminator(Discriminator):
    """A discriminator with one head per feature map.

    Args:
        widths: Channels of each map.
        classes: Number of classes, or width of the vectors in their place.
        width: Channels of each head's hidden layer.
        average: What a reward averages over all heads and places.
        vectors: Whether there are vectors.
    """

    calibrated = True

    def __init__(
        self,
        widths: tuple[int, ...],
        classes: int,
        width: int = 64,
        average: Average = "probabilities",
        vectors: bool = False,
    ) -> None:
        super().__init__(average)
        heads = (Head(channels, width, classes, vectors) for channels in widths)
        self.heads = nn.ModuleList(heads)

    def calibrate(self, maps: tuple[Tensor, ...]) -> None:
        """Take each head's input statistics from feature maps of real images."""
        for head, features in zip(self.heads, maps, strict=True):
            assert isinstance(head, Head)
            head.calibrate(features)

    def forward(self, maps: tuple[Tensor, ...], told: Tensor) -> list[Tensor]:
        """Compute logits (N, h * w) of each map (N, C, h, w)."""
        heads = zip(self.heads, maps, strict=True)
        return [head(features, told) for head, features in heads]
