"""A plain vision transformer, for the features of a full-size policy's reward.

The architecture is that of Dosovitskiy et al. (arXiv 2010.11929). Parameter names equal the names
in published DINO (arXiv 2104.14294) and timm checkpoints; sizes follow from names and shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError
from adagen_rt.models.layers import MLP, Attention

#: Width of a head in every published size, S, B and L.
HEAD_WIDTH = 64
EPSILON = 1e-6
#: Prefixes of the classifiers' weights, which are not used.
HEAD_PREFIXES = ("head.", "fc_norm.", "pre_logits.")


@dataclass(frozen=True)
class ViTConfig:
    """Sizes of a vision transformer.

    Attributes:
        width: Channels of a token.
        depth: Blocks.
        heads: Attention heads.
        patch: Side of a patch in pixels.
        grid: Patches along a side of the images that it was trained on.
    """

    width: int
    depth: int
    heads: int
    patch: int
    grid: int

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> ViTConfig:
        """Read the sizes of a checkpoint.

        Raises:
            CheckpointError: The checkpoint is not of such a network.
        """
        needed = ("patch_embed.proj.weight", "pos_embed", "cls_token")
        if missing := [name for name in needed if name not in state]:
            raise CheckpointError(f"got no {', '.join(missing)}, expected a vision transformer")
        blocks = {int(m[1]) for m in map(re.compile(r"blocks\.(\d+)\.").match, state) if m}
        width, _, patch, _ = state["patch_embed.proj.weight"].shape
        grid = round((state["pos_embed"].shape[1] - 1) ** 0.5)
        return cls(width, max(blocks, default=-1) + 1, max(width // HEAD_WIDTH, 1), patch, grid)


class PatchEmbed(nn.Module):
    """Patches through a convolution; (N, 3, H, W) to (N, n, C), row by row."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, config.patch)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (N, 3, H, W)."""
        return self.proj(images).flatten(2).transpose(1, 2)


class Block(nn.Module):
    """Attention and MLP, each after a norm and with a residual."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=EPSILON)
        self.attn = Attention(config.width, config.heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(config.width, eps=EPSILON)
        self.mlp = MLP(config.width, 4, gelu="none")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, n, C) to (N, n, C)."""
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """The transformer without a head."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + config.grid**2, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=EPSILON)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return all tokens (N, 1 + grid * grid, C), embedded and after every block.

        Args:
            images: (N, 3, S, S) with S = grid * patch, normalised as in training.

        Returns:
            One tensor more than there are blocks; the class token comes first.
        """
        x = self.patch_embed(images)
        tokens = [torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed]
        for block in self.blocks:
            tokens.append(block(tokens[-1]))
        return tokens
