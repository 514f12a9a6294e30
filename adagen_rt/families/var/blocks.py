"""VAR's blocks: cosine attention over a cache, under modulations that are inputs.

The architecture is VAR-dN (arXiv 2404.02905). Shapes are written with R for rows, n
for the tokens of one scale, P for the tokens of the earlier scales, C for width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.layers import (
    MLP,
    merge_heads,
    modulate,
    modulation_layer,
    plain_norm,
    split_heads,
)

MAX_LOG_SCALE = math.log(100)
"""Ceiling of the learned log scale of the cosine attention."""


class CosineAttention(nn.Module):
    """Attention on L2-normalised queries and keys with a learned scale for each head."""

    zero_k_bias: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale_mul_1H11 = nn.Parameter(torch.full((1, heads, 1, 1), math.log(4.0)))
        self.mat_qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias, self.v_bias = (nn.Parameter(torch.zeros(width)) for _ in range(2))
        self.register_buffer("zero_k_bias", torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, past: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Attend over the past and the new tokens.

        Args:
            x: (R, n, C).
            past: (P, 2, R, C) normalised keys and values of earlier scales.
            mask: Additive bias, broadcast to (R, heads, n, P + n); None lets every token attend
                to the past and to its own scale.

        Returns:
            (R, n, C) and the new keys and values (n, 2, R, C).
        """
        bias = torch.cat([self.q_bias, self.zero_k_bias, self.v_bias])
        q, k, v = split_heads(F.linear(x, self.mat_qkv.weight, bias), self.heads)
        q = F.normalize(q, dim=-1) * self.scale_mul_1H11.clamp(max=MAX_LOG_SCALE).exp()
        # Keys are cached normalised, so that each is normalised once instead of at every scale.
        k = F.normalize(k, dim=-1)
        new = torch.stack([merge_heads(k), merge_heads(v)]).permute(2, 0, 1, 3)
        if past is not None:
            old = past.unflatten(-1, (self.heads, -1)).permute(1, 2, 3, 0, 4)
            k, v = torch.cat([old[0], k], dim=2), torch.cat([old[1], v], dim=2)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
        return self.proj(merge_heads(mixed)), new


class VARBlock(nn.Module):
    """Transformer block under adaptive layer norms with scaled residuals.

    Args:
        width: Channels of every token.
        heads: Attention heads.
        mlp_ratio: Width inside the MLP over `width`.
        shared: Whether its modulation is the sum of one that all blocks share and its own numbers,
            instead of what a layer of its own gives.
    """

    def __init__(
        self, width: int, heads: int, mlp_ratio: float = 4.0, *, shared: bool = False
    ) -> None:
        super().__init__()
        self.attn = CosineAttention(width, heads)
        self.ffn = MLP(width, mlp_ratio, gelu="tanh")
        if shared:
            self.ada_gss = nn.Parameter(torch.zeros(1, 1, 6, width))
        else:
            self.ada_lin = modulation_layer(width, 6 * width)

    def modulation(self, condition: Tensor, shared: Tensor | None) -> Tensor:
        """Return the block's modulation (R, 6, C).

        Args:
            condition: Class embeddings (R, C).
            shared: What all blocks share (R, 6, C), if they do.
        """
        if shared is not None:
            return shared + self.ada_gss[0]
        return self.ada_lin(condition).unflatten(-1, (6, -1))

    def forward(
        self, x: Tensor, modulation: Tensor, past: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map (R, n, C) to (R, n, C) and the new keys and values (n, 2, R, C)."""
        gamma1, gamma2, scale1, scale2, shift1, shift2 = modulation[:, :, None].unbind(1)
        mixed, new = self.attn(modulate(plain_norm(x), shift1, scale1), past, mask)
        x = x + gamma1 * mixed
        return x + gamma2 * self.ffn(modulate(plain_norm(x), shift2, scale2)), new


class HeadNorm(nn.Module):
    """Adaptive norm of the head, with the layer that computes its modulation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ada_lin = modulation_layer(width, 2 * width)

    def modulation(self, condition: Tensor) -> Tensor:
        """Return scale and shift (R, 2, C) under class embeddings (R, C)."""
        return self.ada_lin(condition).unflatten(-1, (2, -1))

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Normalise (R, n, C)."""
        scale, shift = modulation[:, :, None].unbind(1)
        return modulate(plain_norm(x), shift, scale)
