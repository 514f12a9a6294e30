"""Frozen features that rewards are computed from.

The demo's rewards use the features of a small classifier. Rewards of full-size policies use a
vision transformer, as in AdaGen (arXiv 2603.06993); `load_vit_features` reads its weights. Where
there is neither, `EncoderFeatures` looks through the generator's own tokenizer.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.models.autoencoder import Encoder
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.classifier import Classifier
from adagen_rt.models.known_images import SIDE
from adagen_rt.models.resize import resize_square
from adagen_rt.models.vit import HEAD_PREFIXES, ViT, ViTConfig

#: Mean and deviation of ImageNet's channels, with which published transformers were trained.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
#: Blocks whose tokens the discriminator sees, evenly spread up to the last.
TAPS = 4
#: How images are brought to a network's size: means of the pixels under each new one, or
#: bicubically with antialias.
Resize = Literal["area", "bicubic"]


class Features(Protocol):
    """A frozen network that computes several feature maps of an image.

    Attributes:
        widths: Channels of each map.
        side: Side of the images that it looks at; others are resized.
    """

    widths: tuple[int, ...]
    side: int

    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps (N, C, h, w), of different sizes, of images (N, c, H, W) in [0, 1]."""


class ClassifierFeatures(nn.Module):
    """The classifier's last three convolutions: 16 x 16, 8 x 8 and 4 x 4 maps of 32 x 32."""

    LAYERS = (1, 2, 3)
    side = SIDE

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        layers: list[Any] = list(classifier.convolutions)
        self.widths: tuple[int, ...] = tuple(layers[i].out_channels for i in self.LAYERS)

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the feature maps of images (N, 1, 32, 32) in [0, 1]."""
        maps = self.classifier.maps(images)
        return tuple(maps[layer] for layer in self.LAYERS)


class ViTFeatures(nn.Module):
    """Token maps of a vision transformer after some of its blocks.

    Args:
        network: The transformer, which is frozen.
        projected: Whether to give what the projected discriminator sees: the embedded patches
            as a first map, and the class token added to every token.
        resize: How images come to the transformer's size.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: ViT, projected: bool = False, resize: Resize = "bicubic") -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.projected, self.resize = projected, resize
        config = network.config
        self.side = config.grid * config.patch
        count = min(TAPS, config.depth)
        blocks = tuple(config.depth * (i + 1) // count for i in range(count))
        #: Numbers of the blocks, from 1; 0 is the embedding.
        self.taps = (0, *blocks) if projected else blocks
        self.widths: tuple[int, ...] = (config.width,) * len(self.taps)
        for name, values in (("mean", IMAGENET_MEAN), ("deviation", IMAGENET_DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps (N, C, grid, grid) of images (N, c, H, W) in [0, 1], grey or colour."""
        colour = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        viewed = resized(colour, self.side, self.resize)
        tokens = self.network((viewed - self.mean) / self.deviation)
        return tuple(self._map(tokens[tap]) for tap in self.taps)

    def _map(self, tokens: Tensor) -> Tensor:
        """Lay out tokens (N, 1 + n, C) as a map (N, C, grid, grid)."""
        grid, patches = self.network.config.grid, tokens[:, 1:]
        patches = patches + tokens[:, :1] if self.projected else patches
        return patches.transpose(1, 2).unflatten(2, (grid, grid))


class EncoderFeatures(nn.Module):
    """Maps inside the encoder of a generator's tokenizer: its input, each level, the middle.

    Its weights are those of the generator's own decoder file, so that no other network is needed.
    A distilled generator is judged through its own features in the same way (arXiv 2403.12015).

    Args:
        encoder: The encoder, which is frozen.
        pixel_range: Values of black and of white that it was trained with.
        side: Largest side of the images; none is cropped.
    """

    def __init__(self, encoder: Encoder, pixel_range: tuple[float, float], side: int) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.pixel_range, self.side = pixel_range, side
        self.widths: tuple[int, ...] = encoder.map_widths

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute maps (N, C, h, w) of images (N, c, H, W) in [0, 1]."""
        black, white = self.pixel_range
        return self.encoder.maps(black + (white - black) * images)


def resized(images: Tensor, side: int, mode: Resize) -> Tensor:
    """Resize images (N, c, H, W) to a square."""
    return resize_square(images, side, partial(_axis, mode))


@cache
def _axis(mode: Resize, source: int, target: int) -> Tensor:
    """Make the weights (target, source) of one axis, by resizing every unit vector."""
    units = torch.eye(source, device="cpu")[None, None]
    shape, antialias = (target, source), mode == "bicubic"
    return F.interpolate(units, shape, mode=mode, antialias=antialias)[0, 0]


def load_vit_features(
    path: Path, projected: bool = False, resize: Resize = "bicubic"
) -> ViTFeatures:
    """Load the features of the transformer in a file, a DINO or timm checkpoint of any size.

    Args:
        path: The file.
        projected: Whether the projected discriminator looks at them.
        resize: How images come to the transformer's size.

    Raises:
        CheckpointError: The file is not of such a network, or could run code.
    """
    state = load_state(path)
    network = ViT(ViTConfig.of(state))
    load_strict(network, state, ignore=HEAD_PREFIXES)
    return ViTFeatures(network, projected, resize)
