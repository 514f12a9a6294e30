"""Scores of image sets: recognition accuracy and distance to real images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adagen_rt.evaluation.data import Images, load_fashion_mnist
from adagen_rt.evaluation.examiner import load_examiner
from adagen_rt.evaluation.folder import FolderPixels
from adagen_rt.evaluation.kept import fingerprint_images, fingerprint_weights, kept_features
from adagen_rt.evaluation.metrics import (
    Gaussian,
    class_accuracy,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from adagen_rt.sampling.result import Result

#: Largest number of images, and of real ones, for precision and recall, which compare all pairs.
NEIGHBOURHOOD = 5000
#: Images whose features are computed together.
BATCH = 500

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """Scores of a set of images, in the feature space of one network.

    Attributes:
        count: Number of images.
        fid: Frechet distance between their features and the training set's.
        kid: Kernel distance between the same features.
        precision: Share of the images that lie within the manifold of the real ones.
        recall: Share of the real images that lie within the manifold of the set.
        accuracy: Share of the images that the network recognises as their class; None where
            it knows no classes.
        agreement: Share of the images whose prompt was found among a hundred; None where nobody
            looked.
    """

    count: int
    fid: float
    kid: float
    precision: float
    recall: float
    accuracy: float | None
    agreement: float | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """A set of images as the network of a judge sees it.

    Attributes:
        features: Features (N, D) float32.
        classes: Classes that the network recognises (N,) int64; None where it knows none.
        meant: Classes that were asked for (N,); None where none were.
    """

    features: Features
    classes: npt.NDArray[np.int64] | None
    meant: npt.ArrayLike | None

    @property
    def accuracy(self) -> float | None:
        """Share recognised as the class that was asked for; None where one side has no classes."""
        if self.classes is None or self.meant is None:
            return None
        return class_accuracy(self.classes, self.meant)


class Judge:
    """Scores images against a real set.

    It looks at a set once, and computes any number of scores of what it saw.

    Args:
        network: Computes classes and features; published scores use the examiner. Without
            classes there is no accuracy.
        real: The real set that distances are measured to.
        device: PyTorch's name of the device that computes features.
    """

    def __init__(
        self, network: nn.Module, real: Images | FolderPixels, device: str = "cpu"
    ) -> None:
        self.network, self.device = network.eval().to(device), device
        self.fingerprint = fingerprint_images(real)
        self.weights = fingerprint_weights(network)
        key = f"{type(network).__name__}-{self.weights}-{self.fingerprint}"
        count = len(real.pixels if isinstance(real, Images) else real)
        self.features = kept_features(
            key, count, lambda part: self.see(_unit_part(real, part)).features
        )
        self.reference = Gaussian.of(self.features)

    @torch.no_grad()
    def see(self, images: Tensor, meant: npt.ArrayLike | None = None) -> Seen:
        """Look at images (N, c, H, W) in [0, 1] that are meant to be of classes (N,), if of any."""
        outputs = [self.network(batch.to(self.device)) for batch in images.split(BATCH)]
        features = torch.cat([features for _, features in outputs]).cpu().numpy()
        if outputs[0][0] is None:
            return Seen(features, None, meant)
        classes = torch.cat([logits.argmax(dim=1) for logits, _ in outputs]).cpu().numpy()
        return Seen(features, classes, meant)

    def look(self, result: Result) -> Seen:
        """Look at the images of a generation's result."""
        return self.see(to_unit(result.images), result.rows.get("labels"))

    def score(self, seen: Seen) -> Score:
        """Compute all scores of a set."""
        features = seen.features
        neighbours = self.features[:NEIGHBOURHOOD]
        precision, recall = precision_recall(features[:NEIGHBOURHOOD], neighbours)
        return Score(
            count=len(features),
            fid=self._distance(features),
            kid=kernel_distance(features, self.features),
            precision=precision,
            recall=recall,
            accuracy=seen.accuracy,
        )

    def quick_score(self, seen: Seen) -> tuple[float, float | None]:
        """Compute only the Frechet distance and the accuracy, which are fast."""
        return self._distance(seen.features), seen.accuracy

    @property
    def distance(self) -> str:
        """What the Frechet distance in these features is called."""
        return getattr(self.network, "distance", "FID")

    def describe(self) -> str:
        """Name the network, its weights and the real set by fingerprint."""
        return (
            f"features of {type(self.network).__name__} {self.weights}, "
            f"{len(self.features)} real images {self.fingerprint}"
        )

    def _distance(self, features: Features) -> float:
        return frechet_distance(Gaussian.of(features), self.reference)


def load_judge(folder: str | Path, device: str = "cpu") -> Judge:
    """Load the judge of every published score: the examiner over the training images.

    Args:
        folder: Folder of Fashion-MNIST's IDX files.
        device: PyTorch's name of the device that computes features.

    Raises:
        InputError: A file is missing or damaged.
    """
    return Judge(load_examiner(), load_fashion_mnist(folder, "train"), device)


def to_unit(pixels: Any) -> Tensor:
    """Turn bytes (N, H, W) or (N, H, W, c) into images (N, c, H, W) in [0, 1]."""
    tensor = torch.as_tensor(pixels)
    channels = tensor[..., None] if tensor.ndim == 3 else tensor
    return channels.movedim(-1, 1).float() / 255


def _unit_part(real: Images | FolderPixels, part: range) -> Tensor:
    """Read the images (n, c, H, W) in [0, 1] of a set that have these numbers."""
    if isinstance(real, Images):
        return to_unit(real.pixels[part.start : part.stop])
    return real[torch.tensor(part)].float() / 255
