"""Judging sets of images: how many are recognised, and how far they are from real ones."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from adagen_rt.errors import InputError
from adagen_rt.training.classifier import Classifier, judge
from adagen_rt.training.data import Images
from adagen_rt.training.metrics import Gaussian, class_accuracy, frechet_distance

LABEL_IN_NAME = re.compile(r"label(\d+)")


@dataclass(frozen=True)
class Score:
    """How good a set of images is.

    Attributes:
        count: How many images there are.
        accuracy: Share that the classifier recognises as their label.
        fid: Frechet distance of their features to those of the training set.
    """

    count: int
    accuracy: float
    fid: float


class Judge:
    """Scores images against a real set.

    Args:
        classifier: Gives classes and features.
        real: The set that a distance of zero stands for.
    """

    def __init__(self, classifier: Classifier, real: Images) -> None:
        self.classifier = classifier
        self.reference = Gaussian.of(judge(classifier, to_unit(real.pixels))[1].numpy())

    def score(self, images: Tensor, labels: npt.ArrayLike) -> Score:
        """Scores images (N, 1, 32, 32) in [0, 1] that were meant to be of `labels` (N,)."""
        classes, features = judge(self.classifier, images)
        distance = frechet_distance(Gaussian.of(features.numpy()), self.reference)
        return Score(len(images), class_accuracy(classes.numpy(), labels), distance)


def to_unit(pixels: npt.NDArray[np.uint8]) -> Tensor:
    """Bytes (N, 32, 32) or (N, 32, 32, 1) to the classifier's input (N, 1, 32, 32)."""
    return torch.from_numpy(pixels.reshape(-1, 1, 32, 32)).float() / 255.0


def read_images(path: Path) -> Images:
    """Images that `adagen-rt generate` wrote, as an `.npz` file or a folder of PNG files.

    Raises:
        InputError: There are no such images, or they are not 32 x 32 and grey.
    """
    images = _read_archive(path) if path.suffix == ".npz" else _read_folder(path)
    if images.pixels.shape[1:3] != (32, 32) or images.pixels.size != len(images.labels) * 1024:
        raise InputError("images", images.pixels.shape, "grey images of 32 x 32 pixels")
    return images


def _read_archive(path: Path) -> Images:
    try:
        with np.load(path) as arrays:
            return Images(arrays["images"], arrays["labels"].astype(np.int64))
    except (OSError, KeyError, ValueError) as error:
        raise InputError("images", str(path), f"images and labels in it ({error})") from error


def _read_folder(folder: Path) -> Images:
    named = [(path, LABEL_IN_NAME.search(path.name)) for path in sorted(folder.glob("*.png"))]
    found = [(path, int(match[1])) for path, match in named if match]
    if not found:
        raise InputError("images", str(folder), "PNG files whose names contain label and a number")
    pixels = np.stack([np.asarray(Image.open(path)) for path, _ in found])
    return Images(pixels, np.array([label for _, label in found]))
