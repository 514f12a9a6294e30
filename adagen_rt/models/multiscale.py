"""VAR's tokenizer: a convolutional autoencoder with a multi-scale residual quantiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from adagen_rt.extent import Extent, ExtentField
from adagen_rt.models.autoencoder import AutoencoderConfig, Decoder, Encoder
from adagen_rt.models.blocks import BlockStyle
from adagen_rt.models.quantizer import Codebook
from adagen_rt.models.resize import area_matrix, bicubic_matrix
from adagen_rt.types import Size

#: How many convolutions the scales share.
SHARED = 4
#: Token maps of the published models for 256 x 256 images.
PUBLISHED_SCALES = tuple(Extent(side, side) for side in (1, 2, 3, 4, 5, 6, 8, 10, 13, 16))


@dataclass(frozen=True)
class MultiScaleConfig(AutoencoderConfig):
    """Sizes of `vae_ch160v4096z32.pth`.

    Args:
        vocabulary: Codes of the codebook.
        scales: Sizes of the token maps, coarse to fine.
        phis: Convolution that refines each scale; by default, the nearest of four.
    """

    channels: Size = 160
    multipliers: tuple[Size, ...] = (1, 1, 2, 2, 4)
    latent_channels: Size = 32
    vocabulary: Size = 4096
    scales: tuple[ExtentField, ...] = PUBLISHED_SCALES
    phis: tuple[Annotated[int, Field(ge=0, le=63)], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scales", tuple(map(Extent.of, self.scales)))
        if not self.phis:
            object.__setattr__(self, "phis", nearest_convolutions(len(self.scales)))
        if len(self.phis) != len(self.scales):
            expected = f"one for each of {len(self.scales)} scales"
            raise ValueError(f"phis: got {len(self.phis)} entries, expected {expected}")


def nearest_convolutions(scales: int) -> tuple[int, ...]:
    """Give each scale the nearest of the shared convolutions, as published.

    They lie evenly over the scales' range from 0 to 1. Where two are equally near, as for the
    middle one of five scales, rounding in float64 decides.
    """
    margin = 1 / (3 * SHARED)
    places = np.linspace(margin, 1 - margin, SHARED)
    at = [scale / max(scales - 1, 1) for scale in range(scales)]
    return tuple(int(np.argmin(np.abs(places - place))) for place in at)


class ResidualConvolutions(nn.Module):
    """The convolutions shared by the scales: `phi(h) = (h + conv(h)) / 2`."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(count))

    def forward(self, h: Tensor, phi: Tensor | int) -> Tensor:
        """Refine (B, width, H, W) with convolution number `phi`, an integer or a scalar tensor."""
        if isinstance(phi, int):
            return 0.5 * h + 0.5 * self.qresi_ls[phi](h)
        # A traced graph cannot index a list by a tensor; it can gather from stacked weights.
        index = phi.reshape(1)
        weight = torch.stack([layer.weight for layer in self.qresi_ls]).index_select(0, index)[0]
        bias = torch.stack([layer.bias for layer in self.qresi_ls]).index_select(0, index)[0]
        return 0.5 * h + 0.5 * F.conv2d(h, weight, bias, padding=1)


class MultiScaleQuantizer(Codebook):
    """VAR's residual quantiser: each scale encodes the residual of the coarser scales.

    Tokens of all scales form one sequence of `positions`, coarse to fine. A resize is linear,
    so the resizes of every scale are columns (up) or rows (down) of two constant matrices, and
    a subset of positions selects a scale.
    """

    def __init__(
        self, vocabulary: int, width: int, scales: tuple[Extent, ...], phis: tuple[int, ...]
    ) -> None:
        super().__init__(vocabulary, width)
        self.scales, self.phis, self.size = scales, phis, scales[-1]
        self.quant_resi = ResidualConvolutions(max(phis) + 1, width)
        self.register_buffer("ema_vocab_hit_SV", torch.zeros(len(scales), vocabulary))
        up = torch.cat([bicubic_matrix(scale, self.size) for scale in scales], dim=1)
        down = torch.cat([area_matrix(self.size, scale) for scale in scales], dim=0)
        # Derived from `scales`: not in the published files, so not in the state dict.
        self.register_buffer("up", up, persistent=False)
        self.register_buffer("down", down, persistent=False)
        self.up: Tensor
        self.down: Tensor
        self.ema_vocab_hit_SV: Tensor

    def span(self, scale: int) -> slice:
        """Return the positions of a scale in the sequence."""
        start = sum(coarser.area for coarser in self.scales[:scale])
        return slice(start, start + self.scales[scale].area)

    def shrink(self, maps: Tensor, positions: Tensor | slice) -> Tensor:
        """Area-resize maps (B, width, H, W) to the scale of `positions`: (B, n, width)."""
        return self.down[positions] @ maps.flatten(2).transpose(1, 2)

    def refinement(self, tokens: Tensor, positions: Tensor | slice, phi: Tensor | int) -> Tensor:
        """Compute the summand (B, width, H, W) of tokens (B, n) at one scale's positions."""
        grown = (self.up[:, positions] @ self.embedding(tokens)).transpose(1, 2)
        return self.quant_resi(grown.unflatten(2, self.size), phi)

    def refine(
        self,
        tokens: Tensor,
        positions: Tensor,
        next_positions: Tensor,
        phi: Tensor | int,
        f_hat: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Add one scale to the sum, and resize the sum for the next scale.

        Args:
            tokens: (B, n) tokens of a scale.
            positions: (n,) its positions.
            next_positions: (n',) the next scale's positions.
            phi: The scale's convolution.
            f_hat: (B, width, H, W) sum of the scales so far.

        Returns:
            The new sum and the next scale's inputs (B, n', width).
        """
        f_hat = f_hat + self.refinement(tokens, positions, phi)
        return f_hat, self.shrink(f_hat, next_positions)

    def quantize(self, maps: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Encode maps (B, width, H, W), coarse to fine.

        Returns:
            Tokens (B, n) and the sum (B, width, H, W) after each scale. Gradients reach the
            codes and the convolutions, not `maps`.
        """
        maps = maps.detach()
        f_hat = torch.zeros_like(maps)
        tokens, sums = [], []
        for scale, size in enumerate(self.scales):
            columns = self.shrink(maps - f_hat.detach(), self.span(scale))
            grid = columns.transpose(1, 2).unflatten(2, size)
            tokens.append(self.nearest(grid).flatten(1))
            f_hat = f_hat + self.refinement(tokens[-1], self.span(scale), self.phis[scale])
            sums.append(f_hat)
        return tokens, sums

    def tokenize(self, maps: Tensor) -> Tensor:
        """Encode maps (B, width, H, W) to tokens of all scales (B, N)."""
        return torch.cat(self.quantize(maps)[0], dim=1)

    def teacher_inputs(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Compute VAR's inputs and the decoder's input for given tokens (B, N).

        Returns:
            Inputs of every scale but the first, (B, N - 1, width), and the full sum.
        """
        f_hat = self.up.new_zeros(len(tokens), self.embedding.embedding_dim, *self.size)
        inputs = []
        for scale in range(len(self.scales)):
            span = self.span(scale)
            f_hat = f_hat + self.refinement(tokens[:, span], span, self.phis[scale])
            if scale + 1 < len(self.scales):
                inputs.append(self.shrink(f_hat, self.span(scale + 1)))
        return torch.cat(inputs, dim=1), f_hat


class MultiScaleVQVAE(nn.Module):
    """VAR's tokenizer; its images are in [-1, 1]."""

    def __init__(self, config: MultiScaleConfig) -> None:
        super().__init__()
        self.config = config
        style = BlockStyle(
            groups=config.groups, middle_attention=True, coarse_attention=True, fused_qkv=True
        )
        width = config.latent_channels
        self.encoder = Encoder(config, style, width)
        self.decoder = Decoder(config, style)
        self.quantize = MultiScaleQuantizer(config.vocabulary, width, config.scales, config.phis)
        self.quant_conv = nn.Conv2d(width, width, 3, padding=1)
        self.post_quant_conv = nn.Conv2d(width, width, 3, padding=1)

    def latents(self, images: Tensor) -> Tensor:
        """Encode images to the continuous map that the scales approximate."""
        return self.quant_conv(self.encoder(images))

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, c, H, W) to tokens of all scales (B, N), coarse to fine."""
        return self.quantize.tokenize(self.latents(images))

    def decode(self, latents: Tensor) -> Tensor:
        """Decode sums of refined scales (B, latent_channels, h, w) to images within [-1, 1]."""
        return torch.clamp(self.decode_raw(latents), -1.0, 1.0)

    def decode_codes(self, codes: Tensor, size: Extent) -> Tensor:
        """Decode what `encode` gives to images, unclamped; the scales tell the size."""
        return self.decode_raw(self.quantize.teacher_inputs(codes.long())[1])

    def decode_raw(self, latents: Tensor) -> Tensor:
        """Decode without the clamp, whose zero gradient would stop training."""
        return self.decoder(self.post_quant_conv(latents))
