"""Pieces that the published transformers share.

Shapes are written with R for rows of a batch, N for tokens, C for width.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Width of the sinusoidal embedding in every published network that has one.
TIME_FREQUENCIES = 256

#: Period of its slowest frequency, over 2 pi.
MAX_PERIOD = 10_000.0


def sinusoidal_embedding(t: Tensor, width: int) -> Tensor:
    """Embed scalars as cosines, then sines (DiT, arXiv 2212.09748, after Vaswani et al.).

    Computed in float32 whatever the network's dtype: half precision cannot tell the
    fast phases of neighbouring times apart.

    Args:
        t: Times or step indices, (R,).
        width: Even embedding width.

    Returns:
        (R, width) float32.
    """
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=t.device) / half
    phases = t.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat([phases.cos(), phases.sin()], dim=1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return `x * (1 + scale) + shift`, the adaptive norm's affine part (DiT, section 3.2)."""
    return x * (1 + scale) + shift


def plain_norm(x: Tensor) -> Tensor:
    """Layer-normalise the last axis without affine parameters, eps 1e-6."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class TimestepEmbedding(nn.Module):
    """Sinusoids of a time or step through Linear-SiLU-Linear; (R,) -> (R, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: Tensor) -> Tensor:
        """Embed times or step indices (R,)."""
        sinusoids = sinusoidal_embedding(t, TIME_FREQUENCIES)
        embedding: Tensor = self.mlp(sinusoids.to(next(self.mlp.parameters()).dtype))
        return embedding


class Attention(nn.Module):
    """Self-attention with one fused projection whose output is laid out (3, heads, head width)."""

    def __init__(self, width: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Attend over the tokens of (R, N, C) with scale head_width ** -0.5."""
        q, k, v = split_heads(self.qkv(x), self.heads)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(merge_heads(mixed))
        return out


def split_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Split (R, N, 3 * C) into q, k and v, each (R, heads, N, C // heads)."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return q, k, v


def merge_heads(x: Tensor) -> Tensor:
    """Merge (R, heads, N, head width) into (R, N, C)."""
    return x.transpose(1, 2).flatten(2)


class MLP(nn.Module):
    """Linear, GELU, Linear, `ratio` times as wide inside."""

    def __init__(self, width: int, ratio: float, *, gelu: Literal["none", "tanh"]) -> None:
        super().__init__()
        inside = int(width * ratio)
        self.fc1 = nn.Linear(width, inside)
        self.act = nn.GELU(approximate=gelu)
        self.fc2 = nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, N, C) to (R, N, C)."""
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


def init_weights(module: nn.Module) -> None:
    """Initialise one submodule for training from scratch; give this to `Module.apply`."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


def zero_weights(module: nn.Module) -> None:
    """Set every parameter of a module to zero, as the start of a residual or an output."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def modulation_layer(condition: int, width: int) -> nn.Sequential:
    """Return SiLU-Linear from a condition (R, condition) to modulations (R, width)."""
    return nn.Sequential(nn.SiLU(), nn.Linear(condition, width))
