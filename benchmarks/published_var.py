"""VAR's generation as published, in plain PyTorch; see ``published.py``.

Beside the waste described there: modulations are computed at every scale, caches grow by
concatenation, maps and features are resized by bicubic and area interpolation, and tokens are
truncated by sorting whole rows.
"""

from __future__ import annotations

from typing import Any

import eager
import torch
import torch.nn.functional as F
from published_base import Actions, Published, Random
from torch import Tensor

from adagen_rt.extent import Extent


class Branch:
    """One of the two passes, conditional or null, with its own cache of keys and values.

    Args:
        published: The generator.
        labels: (B,) int64.
    """

    def __init__(self, published: Published, labels: Tensor) -> None:
        self._network: Any = published.networks.backbone
        self._forward, self._labels = published.backbone, labels
        config = self._network.config
        self._cache = torch.zeros(0, config.depth, 2, len(labels), config.width)

    def __call__(self, inputs: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, n, V) and features (B, n, C) of one scale at its positions (n,)."""
        condition = self._network.condition(self._labels)
        logits, features, new = self._forward(inputs, positions, self._cache, *condition)
        self._cache = torch.cat([self._cache, new])
        return logits, features


def var(published: Published, labels: Tensor, random: Random) -> Tensor:
    """The sum of all scales (B, code width, H, W)."""
    spec: Any = published.manifest.family
    scales, finest = spec.scales, spec.scales[-1]
    actions = Actions(published, len(scales))
    given, null = Branch(published, labels), Branch(published, published.null(labels))
    f_hat = torch.zeros(len(labels), spec.code_width, *finest)
    begin = 0
    for step, scale in enumerate(scales):
        positions = torch.arange(begin, begin + scale.area)
        begin += scale.area
        inputs = F.interpolate(f_hat, scale, mode="area").flatten(2).transpose(1, 2)
        cond, features = given(inputs, positions)
        uncond, _ = null(inputs, positions)
        chosen = actions(_policy_view(features, scale, finest), step)
        chosen["guidance_scale"] = chosen["guidance_scale"] * (step / max(len(scales) - 1, 1))
        rows = [
            _sample(cond, uncond, chosen, random.step(row, step), row) for row in range(len(labels))
        ]
        f_hat = f_hat + _refinement(published, torch.cat(rows), scale, step)
    return f_hat


def _policy_view(features: Tensor, scale: Extent, finest: Extent) -> Tensor:
    """Features (B, n, C) as a map of the policy's size: (B, finest area, C)."""
    grid = features.transpose(1, 2).unflatten(2, scale)
    return F.interpolate(grid, finest, mode="bicubic").flatten(2).transpose(1, 2)


def _sample(
    cond: Tensor, null: Tensor, chosen: dict[str, Tensor], noise: eager.Noise, row: int
) -> Tensor:
    """Tokens (1, n) of one row."""
    own = slice(row, row + 1)
    return eager.sample_top_k_top_p(
        cond[own],
        null[own],
        chosen["guidance_scale"][own],
        # A count of 0 keeps all.
        int(chosen["top_k"][row]) or cond.shape[-1],
        float(chosen["top_p"][row]),
        chosen["sampling_temperature"][own],
        noise,
    )


def _refinement(published: Published, tokens: Tensor, scale: Extent, step: int) -> Tensor:
    """What tokens (B, n) of one scale add to the sum: (B, code width, H, W)."""
    quantizer: Any = published.networks.decoder.quantize
    spec: Any = published.manifest.family
    codes = quantizer.lookup(tokens.unflatten(1, scale))
    grown = F.interpolate(codes, spec.scales[-1], mode="bicubic")
    return quantizer.quant_resi(grown, spec.phi[step])
