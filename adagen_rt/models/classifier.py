"""A small classifier of Fashion-MNIST, whose features rewards and tokenizers use."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adagen_rt.errors import CheckpointError
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.known_images import CLASS_NAMES

#: Weights of the classifier that every shipped model was trained with.
WEIGHTS = Path(__file__).parent / "assets" / "fashion_classifier.safetensors"
FEATURES = 64
BATCH = 500
N = TypeVar("N", bound=nn.Module)


class Classifier(nn.Module):
    """Four convolutions with batch normalisation, two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 64, 96)
        pairs = pairwise(widths)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairs
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
        self.hidden = nn.Linear(widths[-1] * 16, FEATURES)
        self.head = nn.Linear(FEATURES, len(CLASS_NAMES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, 1, 32, 32) in [0, 1] to logits (N, 10) and features (N, 64)."""
        x = self.maps(images)[-1]
        features = F.relu(self.hidden(F.dropout(x.flatten(1), 0.3, self.training)))
        return self.head(F.dropout(features, 0.3, self.training)), features

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return each convolution's maps (N, C, h, w), of the previous map's size or half of it."""
        maps, x = [], images
        for index, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            x = F.relu(norm(convolution(x)))
            if index != 1:
                x = F.max_pool2d(x, 2)
            maps.append(x)
        return maps


def load_classifier(path: Path = WEIGHTS) -> Classifier:
    """Load the trained classifier in evaluation mode.

    Raises:
        CheckpointError: The file is missing or is not of this network.
    """
    return load_network(Classifier(), path)


def load_network(network: N, path: Path) -> N:
    """Fill a network with the weights of a training, in evaluation mode.

    Raises:
        CheckpointError: The file is missing or is not of this network.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; adagen-rt train classifier makes it")
    load_strict(network, load_state(path))
    return network.eval()


@torch.no_grad()
def judge(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Predict classes (N,) and features (N, D) of images (N, 1, 32, 32) in [0, 1]."""
    outputs = [network(batch) for batch in images.split(BATCH)]
    logits = torch.cat([logits for logits, _ in outputs])
    return logits.argmax(dim=1), torch.cat([features for _, features in outputs])
