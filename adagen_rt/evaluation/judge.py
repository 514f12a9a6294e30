"""Judging sets of images: how many are recognised, and how far they are from real ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

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

#: Precision and recall compare every image with every real one: as many of each, at most.
NEIGHBOURHOOD = 5000


@dataclass(frozen=True)
class Score:
    """How good a set of images is, in the eyes of one network.

    Attributes:
        count: How many images there are.
        fid: Frechet distance of their features to those of the training set.
        kid: Kernel distance of the same.
        precision: Share of the images that lie among real ones.
        recall: Share of real images that lie among them.
        accuracy: Share that is recognised as its label.
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
        network: Gives classes and features; published scores are the examiner's.
        real: The set that a distance of zero stands for.
        device: Where features are computed.
    """

    def __init__(self, network: nn.Module, real: Images, device: str = "cpu") -> None:
        self.network, self.device = network.eval().to(device), device
        self.fingerprint = hashlib.sha256(real.pixels.tobytes()).hexdigest()[:12]
        self.features = self._see(to_unit(real.pixels))[1]
        self.reference = Gaussian.of(self.features)

    def score(self, images: Tensor, meant: npt.ArrayLike) -> Score:
        """Scores images (N, 1, 32, 32) in [0, 1] that were meant to be of the classes `meant` (N,)."""
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
        """Score what a generation gave."""
        return self.score(to_unit(result.images), classes_of(result.rows))

    def quick_score(self, images: Tensor, meant: npt.ArrayLike) -> tuple[float, float]:
        """Only the Frechet distance and the accuracy, which take no time."""
        classes, features = self._see(images)
        return self._distance(features), class_accuracy(classes, meant)

    def describe(self) -> str:
        """What the scores mean: the network, its weights and the real set, by fingerprint."""
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
    """The judge of every published score: the examiner, over the training images.

    Args:
        folder: Where Fashion-MNIST's IDX files are.
        device: Where features are computed.

    Raises:
        InputError: A file is missing or damaged.
    """
    return Judge(load_examiner(), load_fashion_mnist(folder, "train"), device)


def to_unit(pixels: npt.NDArray[np.uint8] | Tensor) -> Tensor:
    """Turn bytes (N, H, W) or (N, H, W, c) into images (N, c, H, W) in [0, 1]."""
    tensor = torch.as_tensor(pixels)
    channels = tensor[..., None] if tensor.ndim == 3 else tensor
    return channels.movedim(-1, 1).float() / 255
