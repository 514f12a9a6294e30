"""The images that a generator learns from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from adagen_rt.condition import class_rows
from adagen_rt.data import METADATA
from adagen_rt.data.captioned import load_captioned
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.evaluation.data import load_fashion_mnist
from adagen_rt.evaluation.folder import FolderPixels, Tensors, load_image_folder
from adagen_rt.models.known_images import are_known


@dataclass(frozen=True)
class Examples:
    """Images in memory, and what they show.

    Attributes:
        pixels: (N, c, H, W) uint8.
        rows: Their conditions, named tensors (N, ...); None where only captions are known.
        captions: Their captions, if they have any.
    """

    pixels: Tensor
    rows: Tensors | None
    captions: tuple[str, ...] = ()


def load_examples(folder: Path, image: ImageSpec, classes: int) -> Examples:
    """Read the training images of a folder, scaled to a generator's.

    Args:
        folder: A captioned set (as `load_captioned` reads it), the files of Fashion-MNIST, or a
            folder with a folder for each class.
        image: Size and channels of the generator's images.
        classes: How many classes the generator has.

    Raises:
        InputError: The folder is none of these, or an image of it cannot be read.
    """
    if _is_captioned(folder):
        captioned = load_captioned(folder, image.size, image.channels)
        return Examples(_read_all(captioned.pixels), None, captioned.captions)
    if are_known(image) and not _has_folders(folder):
        images = load_fashion_mnist(folder, "train")
        rows = class_rows(torch.from_numpy(images.classes))
        return Examples(torch.from_numpy(images.pixels)[:, None], rows)
    pixels, rows = load_image_folder(folder, classes, image.size, image.channels)
    return Examples(_read_all(pixels), rows)


def _is_captioned(folder: Path) -> bool:
    lines = (folder / "train" / METADATA, folder / METADATA)
    return any(path.is_file() for path in lines) or any(folder.glob("*.tar"))


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(path.is_dir() for path in folder.iterdir())


def _read_all(pixels: FolderPixels) -> Tensor:
    return pixels[torch.arange(len(pixels))]
