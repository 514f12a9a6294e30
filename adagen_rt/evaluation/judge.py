"""Scores of image sets: recognition accuracy and distance to real images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adagen_rt.condition import classes_of
from adagen_rt.evaluation.data import Images, load_fashion_mnist
from adagen_rt.evaluation.examiner import load_examiner
from adagen_rt.evaluation.metrics import (
    Gaussian,
    class_accuracy,
    frechet_distance,
    kernel_distance,
    precision_recall,
)
from adagen_rt.models.classifier import judge
from adagen_rt.sampling.result import Result

#: Largest number of images, and of real ones, for precision and recall, which compare all pairs.
NEIGHBOURHOOD = 5000


@dataclass(frozen=True)
class Score:
    """Scores of a set of images, in the feature space of one network.

    Attributes:
        count: Number of images.
        fid: Frechet distance between their features and the training set's.
        kid: Kernel distance between the same features.
        precision: Share of the images that lie within the manifold of the real ones.
        recall: Share of the real images that lie within the manifold of the set.
        accuracy: Share of the images that the network recognises as their label.
    """

    count: int
    fid: float
    kid: float
    precision: float
    recall: float
    accuracy: float


class Judge:
    """Scores images against a real set.

    Args:
        network: Computes classes and features; published scores use the examiner.
        real: The real set that distances are measured to.
        device: PyTorch's name of the device that computes features.
    """

    def __init__(self, network: nn.Module, real: Images, device: str = "cpu") -> None:
        self.network, self.device = network.eval().to(device), device
        self.fingerprint = hashlib.sha256(real.pixels.tobytes()).hexdigest()[:12]
        self.features = self._see(to_unit(real.pixels))[1]
        self.reference = Gaussian.of(self.features)

    def score(self, images: Tensor, meant: npt.ArrayLike) -> Score:
        """Score images (N, 1, 32, 32) in [0, 1] that are `meant` to be of classes (N,)."""
        classes, features = self._see(images)
        neighbours = self.features[:NEIGHBOURHOOD]
        precision, recall = precision_recall(features[:NEIGHBOURHOOD], neighbours)
        return Score(
            count=len(images),
            fid=self._distance(features),
            kid=kernel_distance(features, self.features),
            precision=precision,
            recall=recall,
            accuracy=class_accuracy(classes, meant),
        )

    def score_result(self, result: Result) -> Score:
        """Score the images of a generation's result."""
        return self.score(to_unit(result.images), classes_of(result.rows))

    def quick_score(self, images: Tensor, meant: npt.ArrayLike) -> tuple[float, float]:
        """Compute only the Frechet distance and the accuracy, which are fast."""
        classes, features = self._see(images)
        return self._distance(features), class_accuracy(classes, meant)

    def describe(self) -> str:
        """Name the network, its weights and the real set by fingerprint."""
        weights = hashlib.sha256()
        for _, value in sorted(self.network.state_dict().items()):
            weights.update(value.cpu().numpy().tobytes())
        return (
            f"features of {type(self.network).__name__} {weights.hexdigest()[:12]}, "
            f"{len(self.features)} real images {self.fingerprint}"
        )

    def _see(self, images: Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        classes, features = judge(self.network, images.to(self.device))
        return classes.cpu().numpy(), features.cpu().numpy()

    def _distance(self, features: npt.NDArray[np.float32]) -> float:
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
