"""The images that a generator learns from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adagen_rt.condition import class_rows
from adagen_rt.data import METADATA
from adagen_rt.engine.manifest import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.evaluation.data import load_fashion_mnist
from adagen_rt.evaluation.folder import FolderPixels, Tensors, load_image_folder
from adagen_rt.models.known_images import are_known


@dataclass(frozen=True)
class Examples:
    """Images in memory, and what they show.

    Attributes:
        pixels: (N, c, H, W) uint8.
        rows: Their conditions, named tensors (N, ...); None where only captions are known.
    """

    pixels: Tensor
    rows: Tensors | None


def load_examples(folder: Path, image: ImageSpec, classes: int) -> Examples:
    """Read the training images of a folder, scaled to a generator's.

    Args:
        folder: A captioned set (`train/metadata.jsonl`), the files of Fashion-MNIST, or a
            folder with a folder for each class.
        image: Size and channels of the generator's images.
        classes: How many classes the generator has.

    Raises:
        InputError: The folder is none of these, or an image of it cannot be read.
    """
    if (folder / "train" / METADATA).is_file():
        return Examples(_read_all(_captioned(folder / "train", image)), None)
    if are_known(image) and not _has_folders(folder):
        images = load_fashion_mnist(folder, "train")
        rows = class_rows(torch.from_numpy(images.classes))
        return Examples(torch.from_numpy(images.pixels)[:, None], rows)
    pixels, rows = load_image_folder(folder, classes, image.size, image.channels)
    return Examples(_read_all(pixels), rows)


def _captioned(part: Path, image: ImageSpec) -> FolderPixels:
    path = part / METADATA
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        names = [json.loads(line)["file_name"] for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), repr(error), 'lines of JSON with a "file_name"') from None
    if not names:
        raise InputError(str(path), "an empty file", "a line for each picture")
    return FolderPixels([part / name for name in names], image.size, image.channels)


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_dir() for path in folder.iterdir())


def _read_all(pixels: FolderPixels) -> Tensor:
    return pixels[torch.arange(len(pixels))]
