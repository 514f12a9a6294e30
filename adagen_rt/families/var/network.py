"""VAR: next-scale prediction with a transformer whose keys and values are cached.

The architecture is VAR-dN (arXiv 2404.02905). Parameter names equal the published
checkpoints' names. Shapes are written with R for rows, n for the tokens of one scale,
P for the tokens of the earlier scales, L for blocks, C for width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.extent import Extent, ExtentField
from adagen_rt.families.var.blocks import HeadNorm, VARBlock
from adagen_rt.models.layers import init_weights, modulation_layer, zero_weights
from adagen_rt.models.multiscale import PUBLISHED_SCALES
from adagen_rt.types import Ratio, Size


@dataclass(frozen=True)
class VARConfig:
    """Sizes of a VAR; the defaults are the published VAR-d16.

    Attributes:
        width: Channels of every token; published 64 * depth.
        depth: Number of blocks.
        heads: Attention heads.
        scales: Sizes of the token maps, coarse to fine.
        vocabulary: Codes of the tokenizer.
        code_width: Channels of a code.
        classes: Class labels; the null label is `classes`.
        mlp_ratio: Width inside a block's MLP over `width`.
        shared_norm: Whether one layer computes what modulates all blocks, and each adds numbers
            of its own, as in the published VAR-d36-s.
    """

    width: Size = 1024
    depth: Size = 16
    heads: Size = 16
    scales: tuple[ExtentField, ...] = PUBLISHED_SCALES
    vocabulary: Size = 4096
    code_width: Size = 32
    classes: Size = 1000
    mlp_ratio: Ratio = 4.0
    shared_norm: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(map(Extent.of, self.scales)))
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, expected a divisor of {self.width}")
        if self.scales[:1] != ((1, 1),):
            got = [scale.plain for scale in self.scales]
            raise ValueError(f"scales: got {got}, expected a first side of 1")

    @property
    def tokens(self) -> int:
        """Tokens of all scales."""
        return sum(scale.area for scale in self.scales)


class Condition(NamedTuple):
    """Inputs of the backbone that follow from a label, computed once per sample.

    Attributes:
        modulation: (L, R, 6, C), in the order gamma1, gamma2, scale1, scale2, shift1, shift2.
        head_modulation: (R, 2, C), scale and shift of the head's norm.
        start: (R, C), the token at position 0 before its position is added.
    """

    modulation: Tensor
    head_modulation: Tensor
    start: Tensor


class VAR(nn.Module):
    """Class-conditional transformer that predicts every token of the next scale at once."""

    lvl_1L: Tensor  # noqa: N815 (the published name)
    attn_bias_for_masking: Tensor

    def __init__(self, config: VARConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.tokens
        self.word_embed = nn.Linear(config.code_width, width)
        self.class_emb = nn.Embedding(config.classes + 1, width)
        self.pos_start = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.pos_1LC = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.lvl_embed = nn.Embedding(len(config.scales), width)
        shared = config.shared_norm
        if shared:
            self.shared_ada_lin = modulation_layer(width, 6 * width)
        self.blocks = nn.ModuleList(
            VARBlock(width, config.heads, config.mlp_ratio, shared=shared)
            for _ in range(config.depth)
        )
        self.head_nm = HeadNorm(width)
        self.head = nn.Linear(width, config.vocabulary)
        sizes = torch.tensor([scale.area for scale in config.scales])
        levels = torch.arange(len(sizes)).repeat_interleave(sizes, output_size=tokens)
        hidden = levels[:, None] < levels
        self.register_buffer("lvl_1L", levels[None])
        bias = torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)
        self.register_buffer("attn_bias_for_masking", bias[None, None])
        self._init_weights()

    def _init_weights(self) -> None:
        self.apply(init_weights)
        for name, module in self.named_modules():
            if name.endswith("ada_lin"):
                zero_weights(module)

    def condition(self, labels: Tensor) -> Condition:
        """Compute the condition of labels (R,), which all scales of a sample share."""
        embedding = self.class_emb(labels)
        shared = None
        if self.config.shared_norm:
            shared = self.shared_ada_lin(embedding).unflatten(-1, (6, -1))
        blocks = [cast(VARBlock, block).modulation(embedding, shared) for block in self.blocks]
        start = embedding + self.pos_start[0]
        head = self.head_nm.modulation(embedding)
        return Condition(torch.stack(blocks).float(), head.float(), start.float())

    def forward(
        self,
        inputs: Tensor,
        positions: Tensor,
        cache: Tensor,
        modulation: Tensor,
        head_modulation: Tensor,
        start: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict one scale's tokens.

        Args:
            inputs: (R, n, code width) the sum of the earlier scales, resized to this one;
                ignored at position 0, whose token is the condition's start.
            positions: (n,) int64 absolute positions.
            cache: (P, L, 2, R, C) keys and values of the P positions before, position
                first so that a prefix of a buffer is one contiguous view.
            modulation: (L, R, 6, C) of `Condition`.
            head_modulation: (R, 2, C) of `Condition`.
            start: (R, C) of `Condition`.

        Returns:
            Logits (R, n, V), the policy's features (R, n, C) and the cache's new rows
            (n, L, 2, R, C), all float32.
        """
        shared = self._typed(Condition(modulation, head_modulation, start))
        x = self._embed(inputs, positions, shared.start)
        features, new = self._blocks(x, shared, cache.to(self.pos_1LC.dtype))
        logits = self.head(self.head_nm(features, shared.head_modulation))
        return logits.float(), features.float(), new.float()

    def teacher(self, labels: Tensor, inputs: Tensor) -> Tensor:
        """Predict all scales at once from known tokens, for training.

        Args:
            labels: (R,) int64, `classes` for the null label.
            inputs: (R, tokens - 1, code width), inputs of every scale but the first.

        Returns:
            Logits (R, tokens, V) float32.
        """
        shared = self._typed(self.condition(labels))
        positions = torch.arange(self.config.tokens, device=inputs.device)
        x = self._embed(F.pad(inputs, (0, 0, 1, 0)), positions, shared.start)
        features, _ = self._blocks(x, shared, None, self.attn_bias_for_masking)
        return self.head(self.head_nm(features, shared.head_modulation)).float()

    def _typed(self, condition: Condition) -> Condition:
        return Condition(*(part.to(self.pos_1LC.dtype) for part in condition))

    def _embed(self, inputs: Tensor, positions: Tensor, start: Tensor) -> Tensor:
        """Embed (R, n, code width) at absolute positions (n,): (R, n, C)."""
        words = self.word_embed(inputs.to(self.pos_1LC.dtype))
        first = (positions == 0)[None, :, None]
        places = self.pos_1LC[:, positions] + self.lvl_embed(self.lvl_1L[:, positions])
        return torch.where(first, start[:, None], words) + places

    def _blocks(
        self, x: Tensor, shared: Condition, cache: Tensor | None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run the blocks: (R, n, C) features and (n, L, 2, R, C) new keys and values."""
        new = []
        for layer, block in enumerate(self.blocks):
            past = None if cache is None else cache[:, layer]
            x, entry = block(x, shared.modulation[layer], past, mask)
            new.append(entry)
        return x, torch.stack(new, dim=1)
