"""MaskGIT's backbone: a U-ViT over image tokens with one context token in front.

The architecture is AdaGen's MaskGIT-L (arXiv 2603.06993), a U-ViT (arXiv 2209.12152)
trained as a masked generative transformer (arXiv 2202.04200). Parameter names equal
the published checkpoint's names.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor, nn

from adagen_rt.extent import NUMBER_OR_PAIR, Extent
from adagen_rt.models.layers import MLP, Attention, init_weights
from adagen_rt.types import Ratio, Size


def token_map(value: Any) -> Extent:
    """Read how many tokens a square map has, or the height and width of any map.

    Raises:
        ValueError: It is neither.
    """
    if type(value) is not int:
        return Extent.of(value)
    if value < 1 or math.isqrt(value) ** 2 != value:
        raise ValueError(f"got {value}, expected a square number, or [height, width]")
    return Extent.of(math.isqrt(value))


TokenMap: TypeAlias = Annotated[
    Extent,
    BeforeValidator(token_map),
    PlainSerializer(lambda size: size.area if size.square else list(size)),
    WithJsonSchema(NUMBER_OR_PAIR),
]


@dataclass(frozen=True)
class MaskGITConfig:
    """Sizes of a U-ViT; the defaults are the published MaskGIT-L.

    Attributes:
        width: Channels of every token.
        depth: Number of blocks, odd: as many in blocks as out blocks and one between.
        heads: Attention heads.
        vocabulary: Image tokens; the mask token's id is `vocabulary`.
        tokens: Map of image tokens: how many a square one has, or height and width.
        classes: Class labels; the null label is `classes`. No matter where there is `context`.
        context: Channels of the text vectors that take the place of a class; None for classes.
        mlp_ratio: Width inside a block's MLP over `width`.
        patch: Side of the square of tokens that is one place of the transformer: 1 as published;
            2 computes a quarter of the places.
    """

    width: Size = 768
    depth: Size = 25
    heads: Size = 8
    vocabulary: Size = 1024
    tokens: TokenMap = Extent(16, 16)
    classes: Size = 1000
    context: Size | None = None
    mlp_ratio: Ratio = 4.0
    patch: Size = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", token_map(self.tokens))
        if self.depth % 2 == 0:
            raise ValueError(f"depth: got {self.depth}, expected an odd number of blocks")
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, expected a divisor of {self.width}")
        if any(side % self.patch for side in self.tokens) or self.width % self.patch**2:
            raise ValueError(
                f"patch: got {self.patch}, expected a divisor of {self.tokens}, and its square "
                f"one of {self.width}"
            )

    @property
    def places(self) -> Extent:
        """How many patches lie above and beside each other."""
        return self.tokens.over(self.patch)


def gather_patches(values: Tensor, config: MaskGITConfig) -> Tensor:
    """Lay what every token has, (R, N, ...), out by patches: (R, places, patch * patch, ...)."""
    (rows, columns), side = config.places, config.patch
    cells = values.unflatten(1, (rows, side, columns, side)).transpose(2, 3)
    return cells.flatten(3, 4).flatten(1, 2)


def spread_patches(values: Tensor, config: MaskGITConfig) -> Tensor:
    """Undo `gather_patches`."""
    side = config.patch
    cells = values.unflatten(1, tuple(config.places)).unflatten(3, (side, side))
    return cells.transpose(2, 3).flatten(1, 4)


class TokenEmbedding(nn.Module):
    """Word and position embeddings, normalised; ids (R, N) or (R, N, K) -> (R, N, C).

    Of K ids at a place, each has a share of the channels.
    """

    def __init__(self, words: int, positions: int, width: int, together: int = 1) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(words, width // together)
        self.position_embeddings = nn.Embedding(positions, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, ids: Tensor) -> Tensor:
        """Embed ids; N is the number of positions."""
        words = self.word_embeddings(ids).flatten(2)
        out: Tensor = self.LayerNorm(words + self.position_embeddings.weight)
        return out


class Block(nn.Module):
    """Pre-norm transformer block; an out block first joins the skip of its in block."""

    def __init__(
        self, width: int, heads: int, mlp_ratio: float = 4.0, *, skip: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, qkv_bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio, gelu="none")
        self.skip_linear = nn.Linear(2 * width, width) if skip else None

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map (R, N, C) to (R, N, C); `skip` has the same shape."""
        if self.skip_linear is not None and skip is not None:
            x = self.skip_linear(torch.cat([x, skip], dim=-1))
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class TokenHead(nn.Module):
    """Logits over the image tokens, tied to the token embedding."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.bias = nn.Parameter(torch.zeros(1, 1, vocabulary + 1))
        self.fc = nn.Linear(width, width)
        self.ln = nn.LayerNorm(width)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """Map features (R, N, C) and the words' embeddings (V + 1, C / K) to logits (R, N, K, V).

        At a place of one token, K = 1, the logits are (R, N, V).
        """
        x = self.ln(F.gelu(self.fc(x)))
        if words.shape[1] < x.shape[2]:
            x = x.unflatten(2, (-1, words.shape[1]))
        # The mask token is never sampled, so its column is left out of the product.
        return F.linear(x, words[: self.vocabulary], self.bias[0, 0, : self.vocabulary])


class MaskGIT(nn.Module):
    """U-ViT that predicts every masked token of an image at once."""

    def __init__(self, config: MaskGITConfig) -> None:
        super().__init__()
        self.config = config
        width, half = config.width, config.depth // 2
        sizes = (width, config.heads, config.mlp_ratio)
        self.token_emb = TokenEmbedding(
            config.vocabulary + 1, config.places.area, width, config.patch**2
        )
        self.context_embed = self.make_context_embed(config)
        self.in_blocks = nn.ModuleList(Block(*sizes) for _ in range(half))
        self.mid_block = Block(*sizes)
        self.out_blocks = nn.ModuleList(Block(*sizes, skip=True) for _ in range(half))
        self.norm = nn.LayerNorm(width)
        self.mlm_layer = TokenHead(width, config.vocabulary)
        self.apply(init_weights)

    def make_context_embed(self, config: MaskGITConfig) -> nn.Module:
        """Make the embedding of a class."""
        return TokenEmbedding(config.classes + 1, 1, config.width)

    def forward(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Predict tokens.

        Args:
            tokens: (R, N) int64, `vocabulary` where masked.
            labels: (R,) int64, `classes` for the null label.

        Returns:
            Logits (R, N, V) and the policy's features (R, places, C), both float32.
        """
        return self.predict(tokens, labels[:, None])

    def predict(self, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Predict tokens behind a context (R, K) or (R, K, D), as for `forward`."""
        config = self.config
        if config.patch > 1:
            tokens = gather_patches(tokens, config)
        x = torch.cat([self.context_embed(context), self.token_emb(tokens)], dim=1)
        skips = []
        for block in self.in_blocks:
            x = block(x)
            skips.append(x)
        x = self.mid_block(x)
        for block in self.out_blocks:
            x = block(x, skips.pop())
        features = self.norm(x)[:, context.shape[1] :]
        logits = self.mlm_layer(features, self.token_emb.word_embeddings.weight)
        if config.patch > 1:
            logits = spread_patches(logits, config)
        return logits.float(), features.float()


class TextMaskGIT(MaskGIT):
    """The U-ViT with text vectors in the place of a class, as MUSE-PyTorch trained it on CC3M."""

    def make_context_embed(self, config: MaskGITConfig) -> nn.Module:
        """Make the map of text vectors; there are no positions, for the text has its own."""
        assert config.context is not None
        return nn.Linear(config.context, config.width)

    def forward(self, tokens: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Predict tokens.

        Args:
            tokens: (R, N) int64, `vocabulary` where masked.
            context: (R, L, D) the text's vectors.

        Returns:
            Logits (R, N, V) and the policy's features (R, places, C), both float32.
        """
        return self.predict(tokens, context)


def make_maskgit(config: MaskGITConfig) -> MaskGIT:
    """Make the network of a configuration, for classes or for texts."""
    return MaskGIT(config) if config.context is None else TextMaskGIT(config)
