"""The projected discriminator of StyleGAN-T (arXiv 2301.09515), with which AdaNAT trains.

Every head looks at one map of frozen tokens as a sequence, and the class enters as an inner
product with what it sees. Weights of the convolutions are spectrally normalised.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from adagen_rt.models.discriminator import Average, Discriminator

SLOPE = 0.2
#: Samples whose statistics a norm takes together.
GROUP = 8
#: Tokens that the second convolution sees; the sequence is a circle.
REACH = 9
#: Width and depth of StyleGAN2's mapping of the class (arXiv 1912.04958), and the factor by
#: which its layers learn more slowly.
MAPPING_WIDTH, MAPPING_DEPTH, MAPPING_RATE = 512, 8, 0.01
MOMENTUM, EPSILON = 0.1, 1e-5


class LocalBatchNorm(nn.Module):
    """Batch norm over groups of eight samples, in evaluation as in training.

    A sample's score therefore depends on its group. `fixed` takes running averages of the
    statistics in their place, for scores that must not.
    """

    mean: Tensor
    running_variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        self.fixed = False

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, C, L) over samples and places; the last group may be smaller."""
        if self.fixed:
            mean, variance = self.mean[:, None], self.running_variance[:, None]
            normal = (x - mean) * torch.rsqrt(variance + EPSILON)
        else:
            normal = torch.cat([_normalised(group) for group in x.split(GROUP)])
            if self.training:
                self._follow(x.detach())
        return normal * self.weight[:, None] + self.bias[:, None]

    def _follow(self, x: Tensor) -> None:
        variance, mean = torch.var_mean(x, dim=(0, 2), correction=0)
        self.mean.lerp_(mean, MOMENTUM)
        self.running_variance.lerp_(variance, MOMENTUM)


def _normalised(group: Tensor) -> Tensor:
    variance, mean = torch.var_mean(group, dim=(0, 2), correction=0, keepdim=True)
    return (group - mean) * torch.rsqrt(variance + EPSILON)


class Block(nn.Sequential):
    """Convolution over the sequence, norm, leaky ReLU; (N, C, L) to (N, C, L)."""

    def __init__(self, channels: int, reach: int) -> None:
        circle = nn.Conv1d(channels, channels, reach, padding=reach // 2, padding_mode="circular")
        super().__init__(spectral_norm(circle), LocalBatchNorm(channels), nn.LeakyReLU(SLOPE))


class Head(nn.Module):
    """Scores every token of one map, given the embedded class.

    Args:
        channels: Channels of the map.
        width: Numbers a token that the class is compared with.
        condition: Width of the embedded class.
    """

    def __init__(self, channels: int, width: int, condition: int) -> None:
        super().__init__()
        self.enter = Block(channels, 1)
        self.mix = Block(channels, REACH)
        self.leave = spectral_norm(nn.Conv1d(channels, width, 1))
        self.condition = ScaledLinear(condition, width)

    def forward(self, tokens: Tensor, embedded: Tensor) -> Tensor:
        """Compute logits (N, L) of tokens (N, C, L) under embedded classes (N, condition)."""
        x = self.enter(tokens)
        x = (self.mix(x) + x) / math.sqrt(2)
        x = self.leave(x)
        wanted = self.condition(embedded)[:, :, None]
        return (x * wanted).sum(dim=1) / math.sqrt(x.shape[1])


class ScaledLinear(nn.Module):
    """A linear layer that is scaled when it runs (equalised learning rate, arXiv 1710.10196).

    Args:
        inputs: Width of the input.
        outputs: Width of the output.
        rate: Factor by which its weights learn more slowly.
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to (N, outputs)."""
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)

    def columns(self, places: Tensor) -> Tensor:
        """Map one-hot vectors that have their ones at places (N,) int64."""
        return F.embedding(places, self.weight.T) * self.gain + self.bias * self.rate


class ClassMapping(nn.Module):
    """StyleGAN2's mapping of a one-hot class (N,) or of a vector (N, classes), to (N, 512)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.embed = ScaledLinear(classes, MAPPING_WIDTH)
        self.layers = nn.ModuleList(
            ScaledLinear(MAPPING_WIDTH, MAPPING_WIDTH, MAPPING_RATE) for _ in range(MAPPING_DEPTH)
        )

    def forward(self, classes: Tensor) -> Tensor:
        """Embed classes (N,) int64, or vectors (N, D) float32."""
        vectors = classes.is_floating_point()
        x = self.embed(classes) if vectors else self.embed.columns(classes)
        x = x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)
        for layer in self.layers:
            # The gain keeps the variance through the activation.
            x = F.leaky_relu(layer(x), SLOPE) * math.sqrt(2)
        return x


class ProjectedDiscriminator(Discriminator):
    """The discriminator: a head a map, under one mapping of the class.

    Args:
        widths: Channels of each map.
        classes: Number of classes, or width of the vectors in their place.
        width: Numbers a token that the class is compared with.
        average: What a reward averages over all heads and places.
    """

    def __init__(
        self,
        widths: tuple[int, ...],
        classes: int,
        width: int = 64,
        average: Average = "logits",
    ) -> None:
        super().__init__(average)
        self.mapping = ClassMapping(classes)
        self.heads = nn.ModuleList(Head(channels, width, MAPPING_WIDTH) for channels in widths)

    def fix(self) -> None:
        """Take running averages in the place of each group's own statistics."""
        for module in self.modules():
            if isinstance(module, LocalBatchNorm):
                module.fixed = True

    def forward(self, maps: tuple[Tensor, ...], told: Tensor) -> list[Tensor]:
        """Compute logits (N, h * w) of each map (N, C, h, w)."""
        embedded = self.mapping(told)
        heads = zip(self.heads, maps, strict=True)
        return [head(features.flatten(2), embedded) for head, features in heads]
