"""How far a tokenizer's reconstructions are from the originals."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Maps = Callable[[Tensor], list[Tensor]]
"""A frozen network's feature maps (N, C, h, w) of images in [0, 1]."""


def reconstruction_error(decoded: Tensor, images: Tensor) -> Tensor:
    """Sum squared and absolute error of pixels, about one for a network that outputs the mean."""
    difference = decoded - images
    return 8.0 * difference.square().mean() + 1.0 * difference.abs().mean()


def perceptual_distance(features: Maps, decoded: Tensor, images: Tensor) -> Tensor:
    """Average the squared distance of feature maps, each place's channels scaled to length one.

    Zhang et al., "The unreasonable effectiveness of deep features" (arXiv 1801.03924),
    equation 1, without learnt channel weights; averaged over places, then over the maps.
    """
    with torch.no_grad():
        targets = [F.normalize(m.float(), dim=1) for m in features(images)]
    maps = [F.normalize(m.float(), dim=1) for m in features(decoded)]
    pairs = zip(maps, targets, strict=True)
    return torch.stack([(a - b).square().sum(dim=1).mean() for a, b in pairs]).mean()
