"""DiT and SiT: one transformer over latent patches, whose output means noise or velocity.

DiT (arXiv 2212.09748) predicts noise of a variance-preserving process, SiT
(arXiv 2401.08740) the velocity of a linear one; the network is the same. Parameter
names equal the published checkpoints' names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from adagen_rt.extent import Extent, ExtentField
from adagen_rt.models.layers import (
    MLP,
    Attention,
    TimestepEmbedding,
    init_weights,
    modulate,
    modulation_layer,
    plain_norm,
    zero_weights,
)
from adagen_rt.types import Ratio, Size


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of a diffusion transformer; the defaults are the published DiT-XL/2.

    Attributes:
        width: Channels of every token, a multiple of 4.
        depth: Number of blocks.
        heads: Attention heads.
        patch: Side of a patch.
        channels: Latent channels.
        size: Height and width of the latents.
        classes: Class labels; the null label is `classes`. No matter where there is `context`.
        context: Channels of the text vectors that take the place of a class; None for classes.
        mlp_ratio: Width inside a block's MLP over `width`.
        learn_sigma: Whether the file's last layer has as many channels again, which
            sampling never reads; true of both published files.
        process: `"vp"` for DiT, whose network was trained on times 0..1000, or
            `"linear"` for SiT. Callers feed times in [0, 1] to both.
    """

    width: Size = 1152
    depth: Size = 28
    heads: Size = 16
    patch: Size = 2
    channels: Size = 4
    size: ExtentField = Extent(32, 32)
    classes: Size = 1000
    context: Size | None = None
    mlp_ratio: Ratio = 4.0
    learn_sigma: bool = True
    process: Literal["vp", "linear"] = "vp"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", Extent.of(self.size))
        if self.width % self.heads:
            raise ValueError(f"heads: got {self.heads}, expected a divisor of {self.width}")
        if self.width % 4:
            raise ValueError(f"width: got {self.width}, expected a multiple of 4")
        if any(side % self.patch for side in self.size):
            raise ValueError(f"patch: got {self.patch}, expected a divisor of {self.size}")

    @property
    def grid(self) -> Extent:
        """How many patches lie above and beside each other."""
        return self.size.over(self.patch)

    @property
    def time_scale(self) -> float:
        """Factor of a time in [0, 1] inside the network."""
        return 1000.0 if self.process == "vp" else 1.0


def grid_embedding(width: int, grid: Extent) -> Tensor:
    """Return a fixed 2-D position embedding: column sines and cosines, then row ones.

    The 1-D embedding is that of Vaswani et al. (arXiv 1706.03762), sines first, on half
    the width each (MAE, arXiv 2111.06377, appendix A).

    Returns:
        (1, grid area, width) float32, row-major.
    """
    rates = 10_000.0 ** -(np.arange(width // 4) / (width // 4))
    phases = np.arange(max(grid))[:, None] * rates
    line = np.concatenate([np.sin(phases), np.cos(phases)], axis=1)
    columns = np.tile(line[: grid.width], (grid.height, 1))
    rows = np.repeat(line[: grid.height], grid.width, axis=0)
    table = np.concatenate([columns, rows], axis=1).astype(np.float32)
    return torch.from_numpy(table)[None]


class PatchEmbedding(nn.Module):
    """Patches through a convolution; (R, c, H, W) -> (R, N, C), row-major."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        """Embed latents (R, c, H, W)."""
        return self.proj(x).flatten(2).transpose(1, 2)


class LabelEmbedding(nn.Module):
    """Class embedding whose last row is the null label; (R,) -> (R, C)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, labels: Tensor) -> Tensor:
        """Embed labels (R,)."""
        out: Tensor = self.embedding_table(labels)
        return out


class DiTBlock(nn.Module):
    """Transformer block under adaptive layer norms with gated residuals (adaLN-Zero)."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0) -> None:
        super().__init__()
        self.attn = Attention(width, heads, qkv_bias=True)
        self.mlp = MLP(width, mlp_ratio, gelu="tanh")
        self.adaLN_modulation = modulation_layer(width, 6 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Map (R, N, C) to (R, N, C) under a condition (R, C)."""
        modulations = self.adaLN_modulation(condition)[:, None].chunk(6, dim=-1)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = modulations
        x = x + gate * self.attn(modulate(plain_norm(x), shift, scale))
        return x + mlp_gate * self.mlp(modulate(plain_norm(x), mlp_shift, mlp_scale))


class FinalLayer(nn.Module):
    """Adaptive norm and projection to patches; (R, N, C) -> (R, N, patch * patch * c)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = modulation_layer(width, 2 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Project tokens (R, N, C) under a condition (R, C)."""
        shift, scale = self.adaLN_modulation(condition)[:, None].chunk(2, dim=-1)
        out: Tensor = self.linear(modulate(plain_norm(x), shift, scale))
        return out


class DiT(nn.Module):
    """Diffusion transformer serving DiT (noise) and SiT (velocity)."""

    pos_embed: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        out = config.channels * (2 if config.learn_sigma else 1)
        self.x_embedder = PatchEmbedding(config.channels, width, config.patch)
        self.t_embedder = TimestepEmbedding(width)
        self.y_embedder = self.make_embedding(config)
        self.register_buffer("pos_embed", grid_embedding(width, config.grid))
        self.blocks = nn.ModuleList(
            DiTBlock(width, config.heads, config.mlp_ratio) for _ in range(config.depth)
        )
        self.final_layer = FinalLayer(width, config.patch**2 * out)
        self._init_weights()

    def make_embedding(self, config: DiTConfig) -> nn.Module:
        """Make what is added to the time's embedding: a class's."""
        return LabelEmbedding(config.classes, config.width)

    def _init_weights(self) -> None:
        self.apply(init_weights)
        for module in self.modules():
            if isinstance(module, DiTBlock | FinalLayer):
                zero_weights(module.adaLN_modulation)
        zero_weights(self.final_layer.linear)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Predict noise (DiT) or velocity (SiT).

        Args:
            x: (R, c, H, W) latents.
            t: (R,) times in [0, 1].
            labels: (R,) int64, `classes` for the null label.

        Returns:
            Prediction (R, c, H, W) and the policy's features (R, N, C), both float32.
        """
        return self.predict(x, t, self.y_embedder(labels))

    def predict(
        self, x: Tensor, t: Tensor, condition: Tensor, front: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Predict under an embedded condition (R, C), as for `forward`.

        Args:
            x: (R, c, H, W) latents.
            t: (R,) times in [0, 1].
            condition: (R, C), to which the time's embedding is added.
            front: (R, L, C) tokens that the patches attend to.
        """
        x = self.x_embedder(x.to(self.pos_embed.dtype)) + self.pos_embed
        if front is not None:
            x = torch.cat([front, x], dim=1)
        condition = self.t_embedder(t * self.config.time_scale) + condition
        for block in self.blocks:
            x = block(x, condition)
        if front is not None:
            x = x[:, front.shape[1] :]
        prediction = self._unpatchify(self.final_layer(x, condition))
        return prediction.float(), x.float()

    def _unpatchify(self, patches: Tensor) -> Tensor:
        """Lay (R, N, patch * patch * out) out as (R, out, H, W) and keep the prediction."""
        grid, patch = self.config.grid, self.config.patch
        cells = patches.unflatten(2, (patch, patch, -1)).unflatten(1, grid)
        image = cells.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return image[:, : self.config.channels]
