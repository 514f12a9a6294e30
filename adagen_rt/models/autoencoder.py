"""The three published image autoencoders, in any size.

One encoder and one decoder, configured by a `BlockStyle`, serve the continuous autoencoder
of DiT and SiT, MaskGIT's VQGAN and VAR's multi-scale VQ-VAE (`multiscale.py`); the parameter
names are those of the published files. Level 0 is the finest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from adagen_rt.extent import Extent
from adagen_rt.models.blocks import (
    BlockStyle,
    Downsample,
    Level,
    Middle,
    Upsample,
    norm,
)
from adagen_rt.models.quantizer import Codebook
from adagen_rt.types import Size


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes that every autoencoder has.

    Args:
        image_channels: Channels of an image.
        channels: Width of the finest level.
        multipliers: Width of each level over `channels`, finest first.
        encoder_blocks: Residual blocks a level of the encoder.
        decoder_blocks: Residual blocks a level of the decoder.
        latent_channels: Channels of a latent map.
        groups: Groups of every GroupNorm.
        patch: Side of the squares of pixels that the finest level sees as one place. The published
            ones see each pixel; squares of 2 leave out the level that takes most of the time.
    """

    image_channels: Literal[1, 3] = 3
    channels: Size = 128
    multipliers: tuple[Size, ...] = (1, 2, 4, 4)
    encoder_blocks: Size = 2
    decoder_blocks: Size = 3
    latent_channels: Size = 4
    groups: Size = 32
    patch: Size = 1

    def __post_init__(self) -> None:
        if any(width % self.groups for width in self.widths):
            widths = ", ".join(str(width) for width in dict.fromkeys(self.widths))
            raise ValueError(f"groups: got {self.groups}, expected a divisor of {widths}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.channels * multiplier for multiplier in self.multipliers)

    @property
    def reduction(self) -> int:
        """Side of an image over the side of its latent map."""
        return self.patch * 2 ** (len(self.multipliers) - 1)

    @property
    def pixels(self) -> int:
        """Numbers of an image that a place of the finest level has."""
        return self.image_channels * self.patch**2


@dataclass(frozen=True)
class AutoencoderKLConfig(AutoencoderConfig):
    """Sizes of `autoencoder_kl_ema.pth`.

    Args:
        latent_scale: Factor that latents are multiplied by for the generator.
        latent_shift: Number that is subtracted from them before.
        attention: Whether each half has an attention layer in its middle, as the published one has.
    """

    latent_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.18215
    latent_shift: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    attention: bool = True


@dataclass(frozen=True)
class VQGANConfig(AutoencoderConfig):
    """Sizes of `vqgan_jax_strongaug.ckpt`; `latent_channels` is the width of a code.

    Args:
        vocabulary: Codes of the codebook.
    """

    multipliers: tuple[Size, ...] = (1, 1, 2, 2, 4)
    decoder_blocks: Size = 2
    latent_channels: Size = 256
    vocabulary: Size = 1024


class Encoder(nn.Module):
    """Encoder of images to latent maps."""

    def __init__(self, config: AutoencoderConfig, style: BlockStyle, outputs: int) -> None:
        super().__init__()
        widths, self.patch = config.widths, config.patch
        self.map_widths = (widths[0], *widths, widths[-1])
        self.conv_in = nn.Conv2d(config.pixels, widths[0], 3, padding=1, bias=style.bias)
        self.down = nn.ModuleList()
        for index, (before, width) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            last = index == len(widths) - 1
            attention = last and style.coarse_attention
            level = Level(before, width, config.encoder_blocks, style, attention)
            if not last:
                level.downsample = nn.AvgPool2d(2) if style.pooled else Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1], style)
        self.norm_out = norm(widths[-1], style)
        kernel = 1 if style.pooled else 3
        self.conv_out = nn.Conv2d(widths[-1], outputs, kernel, padding=kernel // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, c, H, W) to (B, outputs, H / reduction, W / reduction)."""
        return self.conv_out(F.silu(self.norm_out(self.maps(images)[-1])))

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute what the first layer, each level and the middle put out, (B, C, h, w) each."""
        seen = F.pixel_unshuffle(images, self.patch) if self.patch > 1 else images
        maps = [self.conv_in(seen)]
        for stage in (*self.down, self.mid):
            maps.append(stage(maps[-1]))
        return tuple(maps)


class Decoder(nn.Module):
    """Decoder of latent maps to images."""

    def __init__(self, config: AutoencoderConfig, style: BlockStyle) -> None:
        super().__init__()
        widths, self.patch = config.widths, config.patch
        self.conv_in = nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], style)
        self.up = nn.ModuleList()
        for index, (width, before) in enumerate(
            zip(widths, (*widths[1:], widths[-1]), strict=True)
        ):
            attention = index == len(widths) - 1 and style.coarse_attention
            level = Level(before, width, config.decoder_blocks, style, attention)
            if index > 0:
                level.upsample = Upsample(width)
            self.up.append(level)
        self.norm_out = norm(widths[0], style)
        self.conv_out = nn.Conv2d(widths[0], config.pixels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """Map (B, latent_channels, h, w) to (B, c, h * reduction, w * reduction)."""
        x = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            x = level(x)
        x = self.conv_out(F.silu(self.norm_out(x)))
        return F.pixel_shuffle(x, self.patch) if self.patch > 1 else x


class AutoencoderKL(nn.Module):
    """The continuous autoencoder of DiT and SiT; its images are in [-1, 1]."""

    def __init__(self, config: AutoencoderKLConfig) -> None:
        super().__init__()
        self.config = config
        style = BlockStyle(groups=config.groups, middle_attention=config.attention)
        self.encoder = Encoder(config, style, 2 * config.latent_channels)
        self.decoder = Decoder(config, style)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Encode to the posterior's mean and log-variance (B, latent_channels, h, w), unscaled."""
        mean, log_variance = self.quant_conv(self.encoder(images)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30.0, 20.0)

    def encode(self, images: Tensor) -> Tensor:
        """Encode to the posterior's mean, scaled as the generators expect it."""
        return (self.moments(images)[0] - self.config.latent_shift) * self.config.latent_scale

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (B, latent_channels, h, w) to images, unclamped."""
        latents = latents / self.config.latent_scale
        if self.config.latent_shift:
            latents = latents + self.config.latent_shift
        return self.decoder(self.post_quant_conv(latents))

    def decode_codes(self, codes: Tensor, size: Extent) -> Tensor:
        """Decode what `encode` gives to images, unclamped; maps of any size need not tell it."""
        return self.decode(codes)


class VQGAN(nn.Module):
    """MaskGIT's tokenizer; its images are in [0, 1]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        style = BlockStyle(groups=config.groups, bias=False, late_shortcut=True, pooled=True)
        self.encoder = Encoder(config, style, config.latent_channels)
        self.decoder = Decoder(config, style)
        self.quantize = Codebook(config.vocabulary, config.latent_channels)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (B, c, H, W) to row-major tokens (B, N)."""
        return self.quantize.nearest(self.encoder(images)).flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Decode code maps (B, latent_channels, h, w) to images, unclamped."""
        return self.decoder(codes)

    def decode_tokens(self, tokens: Tensor, size: Extent | None = None) -> Tensor:
        """Decode row-major tokens (B, N) of a map, by default square, to images, unclamped."""
        side = math.isqrt(tokens.shape[1])
        codes = self.quantize.embedding(tokens).transpose(1, 2)
        return self.decode(codes.unflatten(2, size or (side, side)))

    def decode_codes(self, codes: Tensor, size: Extent) -> Tensor:
        """Decode what `encode` gives of maps of a size to images, unclamped."""
        return self.decode_tokens(codes.long(), size)


class TokenDecoder(nn.Module):
    """The decoder of a VQGAN for token maps of one size.

    Args:
        tokenizer: The VQGAN.
        size: Height and width of the maps.
    """

    def __init__(self, tokenizer: VQGAN, size: Extent) -> None:
        super().__init__()
        self.tokenizer, self.size = tokenizer, size

    def forward(self, tokens: Tensor) -> Tensor:
        """Decode row-major tokens (B, N) to images, unclamped."""
        return self.tokenizer.decode_tokens(tokens, self.size)
