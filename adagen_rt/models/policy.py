"""The policy network: the generator's features and the step index -> raw actions.

One architecture serves every family (AdaGen, arXiv 2603.06993, section 4). Residual,
smoothing and activation of raw actions are in `adagen_rt.engine.schedule`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.extent import Extent, ExtentField
from adagen_rt.models.layers import (
    TimestepEmbedding,
    modulate,
    modulation_layer,
    plain_norm,
    zero_weights,
)
from adagen_rt.models.resize import area_matrix, bicubic_matrix

#: How a fresh policy's weights are drawn.
Initialisation = Literal["xavier", "plain"]
TIME_STD = 0.02


@dataclass(frozen=True)
class PolicyConfig:
    """Sizes of a policy network.

    Attributes:
        actions: Outputs, one for each column of the action space.
        features: Channels of the generator's features.
        grid: Height and width of the feature map; published 16.
        hidden: Width of the hidden layers; published 512.
        initialisation: How fresh weights are drawn.
    """

    actions: int
    features: int
    grid: ExtentField = Extent(16, 16)
    hidden: int = 512
    initialisation: Initialisation = "xavier"

    def __post_init__(self) -> None:
        object.__setattr__(self, "grid", Extent.of(self.grid))

    @property
    def flat(self) -> int:
        """Length of the flattened feature map after the strided convolution."""
        halved = Extent(*((side + 1) // 2 for side in self.grid))
        return (self.hidden // 4) * halved.area


class AdaptiveNorm(nn.Module):
    """Layer norm whose shift and scale come from the step's embedding."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.adaLN_modulation = modulation_layer(condition, 2 * width)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Normalise (B, C) or (B, N, C) under an embedding (B, condition)."""
        modulation = self.adaLN_modulation(embedding)
        if x.ndim == 3:
            modulation = modulation[:, None]
        shift, scale = modulation.chunk(2, dim=-1)
        return modulate(plain_norm(x), shift, scale)


class PolicyNetwork(nn.Module):
    """Small convolutional network; untrained, its output is exactly zero.

    A zero output is the static schedule, so training starts from that baseline.
    """

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        narrow = config.features == hidden
        self.x_embedder = nn.Identity() if narrow else nn.Linear(config.features, hidden)
        self.t_embedder = TimestepEmbedding(hidden)
        self.adaLN1 = AdaptiveNorm(hidden, hidden)
        self.dw_conv = nn.Conv2d(hidden, hidden, 3, stride=2, padding=1, groups=hidden)
        self.pw_conv = nn.Conv2d(hidden, hidden // 4, 1)
        self.linear1 = nn.Linear(config.flat, 2 * hidden)
        self.adaLN2 = AdaptiveNorm(2 * hidden, hidden)
        self.linear2 = nn.Linear(2 * hidden, hidden)
        self.adaLN3 = AdaptiveNorm(hidden, hidden)
        self.linear3 = nn.Linear(hidden, config.actions)
        if config.initialisation == "xavier":
            self._draw()
        zero_weights(self.linear3)

    def _draw(self) -> None:
        """Draw weights as AdaGen does, and start with no modulation and no bias."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.t_embedder.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=TIME_STD)
        for norm in (self.adaLN1, self.adaLN2, self.adaLN3):
            zero_weights(norm)

    def forward(self, features: Tensor, step: Tensor) -> Tensor:
        """Choose raw actions.

        Args:
            features: (B, grid area, C) float32, row-major.
            step: (B,) int64 step indices.

        Returns:
            (B, A) float32.
        """
        return self.head(self.x_embedder(features), step)

    def head(self, x: Tensor, step: Tensor) -> Tensor:
        """Choose raw actions from features already mapped to (B, grid area, hidden)."""
        embedding = self.t_embedder(step)
        x = self.adaLN1(x, embedding).transpose(1, 2).unflatten(2, self.config.grid)
        x = F.gelu(self.pw_conv(F.gelu(self.dw_conv(x))))
        x = F.gelu(self.adaLN2(self.linear1(x.flatten(1)), embedding))
        x = F.gelu(self.adaLN3(self.linear2(x), embedding))
        raw: Tensor = self.linear3(x)
        return raw


def make_critic(policy: PolicyNetwork) -> PolicyNetwork:
    """Make a network of the policy's architecture with one output, which starts at zero."""
    return PolicyNetwork(replace(policy.config, actions=1))


class MultiScalePolicy(nn.Module):
    """A policy over VAR's features, which come at a different size for every scale.

    The published policy resizes each map bicubically to its grid. Resizing is
    linear and its weights sum to one, so it commutes with the input projection and
    runs after it, on fewer channels; the resizes of every scale are rows of one table
    that the positions select, so one graph serves all scales.

    Args:
        network: The policy network; a checkpoint has only its parameters.
        scales: Sizes of the token maps, coarse to fine.
    """

    table: Tensor

    def __init__(self, network: PolicyNetwork, scales: tuple[Extent, ...]) -> None:
        super().__init__()
        self.network = network
        columns = [bicubic_matrix(scale, network.config.grid).T for scale in scales]
        # Derived from `scales`: not in the published files, so not in the state dict.
        self.register_buffer("table", torch.cat(columns), persistent=False)

    def forward(self, features: Tensor, positions: Tensor, step: Tensor) -> Tensor:
        """Choose raw actions.

        Args:
            features: (B, n, C) float32 of one scale.
            positions: (n,) int64, the scale's positions in the sequence of all scales.
            step: (B,) int64 step indices.

        Returns:
            (B, A) float32.
        """
        return self.network.head(self.resize(self.network.x_embedder(features), positions), step)

    def resize(self, x: Tensor, positions: Tensor) -> Tensor:
        """Resize (B, n, C) of one scale to the policy's grid, (B, grid area, C)."""
        return self.table[positions].T @ x


class PooledPolicy(nn.Module):
    """A policy over feature maps of another size than its grid, which are averaged to it.

    Averages sum to one, so that they commute with the input projection.

    Args:
        network: The policy network; a checkpoint has only its parameters.
        size: Height and width of the feature maps.
    """

    table: Tensor

    def __init__(self, network: PolicyNetwork, size: Extent) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("table", area_matrix(size, network.config.grid), persistent=False)

    def forward(self, features: Tensor, step: Tensor) -> Tensor:
        """Choose raw actions; arguments as for `PolicyNetwork`, features (B, area, C)."""
        return self.network.head(self.table @ self.network.x_embedder(features), step)


def over_maps(network: PolicyNetwork, size: Extent) -> nn.Module:
    """Fit a policy network to feature maps of one size."""
    return network if size == network.config.grid else PooledPolicy(network, size)


class FirstColumn(nn.Module):
    """A module that drops the second axis of another's output (B, 1): a critic's value."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        """Return the column (B,)."""
        column: Tensor = self.module(*inputs, **named)
        return column[:, 0]
