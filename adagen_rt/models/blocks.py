"""Building blocks of the convolutional autoencoders, with the published parameter names."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class BlockStyle:
    """Differences of the published autoencoders inside a level.

    Args:
        groups: Groups of every GroupNorm.
        bias: Whether the residual blocks' convolutions have a bias.
        late_shortcut: Whether the shortcut projects the block's output instead of its input.
        middle_attention: Whether the middle has an attention layer between its blocks.
        coarse_attention: Whether each block of the coarsest level is followed by attention.
        fused_qkv: Whether attention computes q, k and v with one convolution.
        pooled: Whether the encoder halves by average pooling instead of strided convolution.
    """

    groups: int = 32
    bias: bool = True
    late_shortcut: bool = False
    middle_attention: bool = False
    coarse_attention: bool = False
    fused_qkv: bool = False
    pooled: bool = False


def norm(channels: int, style: BlockStyle) -> nn.GroupNorm:
    """Make the group normalisation that every block uses."""
    return nn.GroupNorm(style.groups, channels, eps=NORM_EPSILON)


class ResidualBlock(nn.Module):
    """Norm, swish and 3 x 3 convolution, twice, plus a shortcut."""

    def __init__(self, inputs: int, outputs: int, style: BlockStyle) -> None:
        super().__init__()
        self.late_shortcut = style.late_shortcut
        self.norm1 = norm(inputs, style)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=style.bias)
        self.norm2 = norm(outputs, style)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=style.bias)
        self.nin_shortcut: nn.Conv2d | None = None
        if inputs != outputs:
            # The published VQGAN projects the second convolution's output: `y = shortcut(h) + h`.
            width = outputs if style.late_shortcut else inputs
            self.nin_shortcut = nn.Conv2d(width, outputs, 1, bias=style.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        if self.nin_shortcut is None:
            return x + h
        return self.nin_shortcut(h if self.late_shortcut else x) + h


class SpatialAttention(nn.Module):
    """Single-head self-attention over the positions of a map, with a residual."""

    def __init__(self, channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.fused = style.fused_qkv
        self.norm = norm(channels, style)
        if self.fused:
            self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        else:
            self.q = nn.Conv2d(channels, channels, 1)
            self.k = nn.Conv2d(channels, channels, 1)
            self.v = nn.Conv2d(channels, channels, 1)
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        h = self.norm(x)
        maps = self.qkv(h).chunk(3, dim=1) if self.fused else (self.q(h), self.k(h), self.v(h))
        # The one head gets its own axis, as ONNX's attention has four axes.
        query, key, value = (m.flatten(2).transpose(1, 2)[:, None] for m in maps)
        h = F.scaled_dot_product_attention(query, key, value)[:, 0]
        return x + self.proj_out(h.transpose(1, 2).reshape(x.shape))


class Downsample(nn.Module):
    """Halves a map with a strided convolution, padded at the bottom and right only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H / 2, W / 2)."""
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles a map: nearest neighbour, then a 3 x 3 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 2 H, 2 W)."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """One resolution: residual blocks, attention after each if asked for, then a resize."""

    def __init__(
        self, inputs: int, outputs: int, blocks: int, style: BlockStyle, attention: bool
    ) -> None:
        super().__init__()
        widths = [inputs] + [outputs] * (blocks - 1)
        self.block = nn.ModuleList(ResidualBlock(w, outputs, style) for w in widths)
        count = blocks if attention else 0
        self.attn = nn.ModuleList(SpatialAttention(outputs, style) for _ in range(count))
        self.downsample: nn.Module | None = None
        self.upsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Run the blocks and the resize, if there is one."""
        for index, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[index](x)
        resize = self.downsample if self.downsample is not None else self.upsample
        return x if resize is None else resize(x)


class Middle(nn.Module):
    """Two residual blocks at the coarsest resolution, with or without attention between."""

    def __init__(self, channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, style)
        self.attn_1 = SpatialAttention(channels, style) if style.middle_attention else None
        self.block_2 = ResidualBlock(channels, channels, style)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = self.block_1(x)
        if self.attn_1 is not None:
            x = self.attn_1(x)
        return self.block_2(x)
