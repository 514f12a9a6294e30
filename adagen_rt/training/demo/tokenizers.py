"""Training tasks of the image tokenizers: images in, reconstructions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.autoencoder import VQGAN, AutoencoderKL
from adagen_rt.models.multiscale import MultiScaleVQVAE
from adagen_rt.models.random import integers, normal
from adagen_rt.training.demo.distances import Maps, perceptual_distance, reconstruction_error

#: Images of a preview, and how many of them are in a row.
PREVIEWS, COLUMNS = 30, 10
#: Images that the latents' variance is measured on.
CALIBRATION_IMAGES = 2000
#: Weight of the perceptual distance beside the error of pixels, which is about as large.
PERCEPTUAL_WEIGHT = 1.0


class ImageTask(ABC):
    """Common part of the tokenizer tasks, whose examples are images.

    Args:
        network: The network to train.
        pixels: (N, c, H, W) uint8.
        low: The network's value of a black pixel.
        high: The network's value of a white pixel.
        features: A frozen network; if given, its feature maps are compared as well.
    """

    def __init__(
        self,
        network: nn.Module,
        pixels: Tensor,
        low: float,
        high: float,
        features: Maps | None = None,
    ) -> None:
        self.network, self.pixels, self.features = network, pixels, features
        self.low, self.high = low, high
        self.size = len(pixels)

    @abstractmethod
    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Give the mean loss of the examples numbered `rows`."""

    @abstractmethod
    def reconstruct(self, network: nn.Module, images: Tensor) -> Tensor:
        """Send images on a round trip through the tokenizer, in the network's pixel range."""

    def finish(self, trained: Any) -> nn.Module:
        """Take the autoencoder out of the trained network, ready for a generator."""
        autoencoder: nn.Module = trained
        return autoencoder

    def error(self, decoded: Tensor, images: Tensor) -> Tensor:
        """Measure how far decoded images are from the originals, in pixels and in features."""
        decoded, images = (self.to_unit(part) for part in (decoded, images))
        error = reconstruction_error(decoded, images)
        if self.features is None:
            return error
        return error + PERCEPTUAL_WEIGHT * perceptual_distance(self.features, decoded, images)

    def to_unit(self, images: Tensor) -> Tensor:
        """Bring images from the network's pixel range to [0, 1]."""
        return (images - self.low) / (self.high - self.low)

    def images(self, rows: Tensor) -> Tensor:
        """Give examples in the network's pixel range."""
        return to_range(self.pixels[rows], self.low, self.high)

    def spread(self, count: int) -> Tensor:
        """Give so many examples, evenly spread, since neighbours may be alike."""
        return self.images(torch.arange(count, device=self.pixels.device) * self.size // count)

    def preview(self, network: nn.Module) -> Tensor:
        """Draw pairs of rows: originals above their reconstructions."""
        columns = min(COLUMNS, self.size)
        images = self.spread(min(PREVIEWS, self.size) // columns * columns)
        rows = (images, self.reconstruct(network, images))
        pairs = torch.stack([part.unflatten(0, (-1, columns)) for part in rows], dim=1)
        return self.to_unit(pairs.flatten(0, 2))


def to_range(pixels: Tensor, low: float, high: float) -> Tensor:
    """Bring bytes to the pixel range of a network."""
    return low + (high - low) / 255.0 * pixels.float()


class TrainableVQ(nn.Module):
    """A VQGAN with running sums, whose quotient is the codebook.

    The codebook follows the encoder by exponential moving averages instead of gradients
    (arXiv 1711.00937, appendix A); codes that are hardly used restart at encoder outputs.
    """

    DECAY = 0.99
    #: A code is dead that is hit less often than this, in shares of the mean over all codes.
    DEAD = 1 / 32

    def __init__(self, model: VQGAN) -> None:
        super().__init__()
        self.model = model
        codes = model.quantize.embedding.weight.requires_grad_(False)
        self.register_buffer("counts", codes.new_zeros(len(codes)))
        self.register_buffer("sums", torch.zeros_like(codes))
        self.counts: Tensor
        self.sums: Tensor

    @torch.no_grad()
    def follow(self, columns: Tensor, indices: Tensor, generator: torch.Generator) -> None:
        """Move the codes towards the encoder outputs (M, width) assigned to them (M,)."""
        codes = self.model.quantize.embedding.weight
        hits = torch.bincount(indices, minlength=len(codes)).float()
        totals = torch.zeros_like(codes).index_add_(0, indices, columns)
        self.counts.lerp_(hits, 1 - self.DECAY)
        self.sums.lerp_(totals, 1 - self.DECAY)
        share = len(columns) / len(codes)
        dead = self.counts < self.DEAD * share
        picks = integers(len(columns), (len(codes),), generator)
        self.sums.copy_(torch.where(dead[:, None], share * columns[picks], self.sums))
        self.counts.masked_fill_(dead, share)
        codes.copy_(self.sums / self.counts[:, None])


class VQTask(ImageTask):
    """Reconstruction through a codebook, with a straight-through gradient."""

    network: TrainableVQ

    COMMITMENT = 0.25

    def __init__(
        self, model: VQGAN, pixels: Tensor, low: float, high: float, features: Maps | None = None
    ) -> None:
        super().__init__(TrainableVQ(model), pixels, low, high, features)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the reconstruction error plus the encoder's commitment to its codes."""
        network = self.network
        images = self.images(rows)
        maps = network.model.encoder(images).float()
        quantize = network.model.quantize
        # Bfloat16 cannot tell neighbouring codes apart.
        with torch.autocast(maps.device.type, enabled=False):
            indices = quantize.nearest(maps)
            codes = quantize.lookup(indices)
        straight = maps + (codes - maps).detach()
        decoded = network.model.decode(straight).float()
        columns = maps.detach().movedim(1, -1).flatten(0, -2)
        network.follow(columns, indices.flatten(), generator)
        commitment = F.mse_loss(maps, codes.detach())
        error = self.error(decoded, images)
        return error + self.COMMITMENT * commitment

    def reconstruct(self, network: nn.Module, images: Tensor) -> Tensor:
        """Encode to tokens and decode."""
        model = network.model
        return model.decode(model.quantize.lookup(model.quantize.nearest(model.encoder(images))))

    def finish(self, trained: TrainableVQ) -> VQGAN:
        """Drop the running sums."""
        return trained.model


class KLTask(ImageTask):
    """Reconstruction through a sampled continuous latent."""

    network: AutoencoderKL

    #: Weight of the divergence.
    divergence = 1e-4

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the reconstruction error plus the posterior's divergence from a normal."""
        images = self.images(rows)
        mean, log_variance = (m.float() for m in self.network.moments(images))
        noise = normal(mean.shape, generator)
        sample = mean + noise * (0.5 * log_variance).exp()
        scale = self.network.config.latent_scale
        decoded = self.network.decode(sample * scale).float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        error = self.error(decoded, images)
        return error + self.divergence * divergence.sum(dim=(1, 2, 3)).mean()

    def reconstruct(self, network: nn.Module, images: Tensor) -> Tensor:
        """Encode to the posterior's mean and decode."""
        return network.decode(network.encode(images))

    def finish(self, trained: AutoencoderKL) -> AutoencoderKL:
        """Bring the latents to the variance that generators assume."""
        calibrate(trained, self.spread(min(CALIBRATION_IMAGES, self.size)))
        return trained


class MultiScaleTask(ImageTask):
    """Reconstruction through VAR's residual quantiser (arXiv 2404.02905, algorithm 1).

    The codes are trained by gradients, as published; codes that no scale uses restart at
    residuals of a random scale.
    """

    network: MultiScaleVQVAE

    COMMITMENT = 0.25
    DECAY = 0.99
    #: A code is dead that is hit less often than this, in shares of the mean over all codes.
    DEAD = 1 / 128

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Return the reconstruction error plus the scales' mean codebook and commitment errors."""
        images = self.images(rows)
        network = self.network
        maps = network.latents(images).float()
        with torch.autocast(maps.device.type, enabled=False):
            tokens, sums = network.quantize.quantize(maps)
            self._restart(tokens, maps.detach(), sums, generator)
        target = maps.detach()
        codebook = torch.stack([F.mse_loss(f_hat, target) for f_hat in sums]).mean()
        commitment = torch.stack([F.mse_loss(maps, f_hat.detach()) for f_hat in sums]).mean()
        decoded = network.decode_raw(maps + (sums[-1] - maps).detach()).float()
        error = self.error(decoded, images)
        return error + codebook + self.COMMITMENT * commitment

    @torch.no_grad()
    def _restart(
        self, tokens: list[Tensor], maps: Tensor, sums: list[Tensor], generator: torch.Generator
    ) -> None:
        """Count the hits of every scale and move unused codes to residuals."""
        quantize = self.network.quantize
        codes, hits = quantize.embedding.weight, quantize.ema_vocab_hit_SV
        for scale, indices in enumerate(tokens):
            counts = torch.bincount(indices.flatten(), minlength=len(codes)).float()
            hits[scale].lerp_(counts, 1 - self.DECAY)
        share = sum(indices.numel() for indices in tokens) / len(codes)
        dead = hits.sum(dim=0) < self.DEAD * share
        scale = int(integers(len(tokens), (), generator))
        left = maps if scale == 0 else maps - sums[scale - 1]
        columns = quantize.shrink(left, quantize.span(scale)).flatten(0, 1)
        picks = integers(len(columns), (len(codes),), generator)
        codes.copy_(torch.where(dead[:, None], columns[picks], codes))
        hits.masked_fill_(dead, share / len(tokens))

    def reconstruct(self, network: nn.Module, images: Tensor) -> Tensor:
        """Encode to the tokens of all scales and decode."""
        return network.decode(network.quantize.quantize(network.latents(images))[1][-1])


#: Training task of each kind of autoencoder.
TASKS: dict[type[nn.Module], Callable[..., ImageTask]] = {
    VQGAN: VQTask,
    AutoencoderKL: KLTask,
    MultiScaleVQVAE: MultiScaleTask,
}


@torch.no_grad()
def calibrate(model: AutoencoderKL, images: Tensor) -> None:
    """Fold a factor into the 1 x 1 convolutions so that scaled latents have unit variance.

    The generators assume unit variance. `latent_scale` is a constant of the recipe, so the
    weights are changed instead.
    """
    factor = 1.0 / model.encode(images).std()
    half = model.config.latent_channels
    model.quant_conv.weight[:half] *= factor
    model.quant_conv.bias[:half] *= factor
    model.quant_conv.bias[half:] += 2.0 * factor.log()
    model.post_quant_conv.weight /= factor
