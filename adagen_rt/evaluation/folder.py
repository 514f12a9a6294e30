"""Labelled images in a folder, read when they are needed: ImageNet does not fit in memory."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adagen_rt.condition import class_rows
from adagen_rt.errors import InputError
from adagen_rt.extent import Extent

Tensors = dict[str, Tensor]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
#: Names how images are brought to size, so that kept features of another way are not taken.
FILTER = "box-bicubic"
#: Decoding waits for the disk and lets go of Python's lock.
READERS = 8


@dataclass(frozen=True)
class TarMember:
    """A file inside of a tar that is not compressed, read where it lies.

    Attributes:
        tar: The tar.
        name: The file's name in it.
        offset: Where its first byte is.
        size: Number of its bytes.
    """

    tar: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Read the file."""
        with self.tar.open("rb") as opened:
            opened.seek(self.offset)
            return opened.read(self.size)


class FolderPixels:
    """Images of a folder as if they were a tensor (N, channels, height, width) uint8.

    Args:
        paths: The images, which may lie in tars.
        size: Height and width to which they are brought, as `cover` does.
        channels: 1 for grey, 3 for colour.
    """

    def __init__(self, paths: Sequence[Path | TarMember], size: Extent, channels: int = 3) -> None:
        self.paths, self.size, self.channels = paths, size, channels
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read the images numbered `rows` (n,): (n, channels, height, width) uint8."""
        with ThreadPoolExecutor(READERS) as pool:
            images = list(pool.map(self._read, [self.paths[row] for row in rows.tolist()]))
        stacked = np.stack(images).reshape(len(images), *self.size, self.channels)
        return torch.from_numpy(stacked).permute(0, 3, 1, 2).to(self.device)

    def to(self, device: torch.device | str) -> FolderPixels:
        """Return the same images, delivered to another device."""
        other = copy.copy(self)
        other.device = torch.device(device)
        return other

    def _read(self, path: Path | TarMember) -> np.ndarray:
        try:
            source = path if isinstance(path, Path) else io.BytesIO(path.read())
            with Image.open(source) as opened:
                image = opened.convert("RGB" if self.channels == 3 else "L")
        except OSError as error:
            name = str(path) if isinstance(path, Path) else f"{path.tar}: {path.name}"
            raise InputError("--data", name, f"an image ({error})") from error
        return np.asarray(cover(image, self.size))


def cover(image: Image.Image, size: Extent) -> Image.Image:
    """Scale an image until it just covers `size`, and cut out the middle, as published for squares.

    The image is halved by means of four pixels while that leaves it large enough; the rest is
    bicubic.
    """
    while image.height >= 2 * size.height and image.width >= 2 * size.width:
        width, height = image.size
        image = image.resize((width // 2, height // 2), Image.Resampling.BOX)
    scale = max(size.height / image.height, size.width / image.width)
    height = max(size.height, round(image.height * scale))
    width = max(size.width, round(image.width * scale))
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size.width) // 2, (height - size.height) // 2
    return image.crop((left, top, left + size.width, top + size.height))


def load_image_folder(
    folder: str | Path, classes: int, size: Extent, channels: int = 3
) -> tuple[FolderPixels, Tensors]:
    """Open images in a folder per class, with classes numbered in the order of folder names.

    Args:
        folder: Parent of the class folders, as in ImageNet's training set.
        classes: Expected number of classes.
        size: Size of the images that the generator makes.
        channels: Channels of those images.

    Returns:
        The images, and their classes as rows of a condition.

    Raises:
        InputError: The number of folders differs, or a folder has no image.
    """
    folders = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    if len(folders) != classes:
        expected = f"a folder with one folder for each of {classes} classes"
        raise InputError("--data", f"{folder} with {len(folders)} folders", expected)
    paths, numbers = [], []
    for number, part in enumerate(folders):
        found = sorted(path for path in part.iterdir() if path.suffix.lower() in SUFFIXES)
        if not found:
            raise InputError("--data", str(part), f"images ({', '.join(SUFFIXES)})")
        paths += found
        numbers += [number] * len(found)
    return FolderPixels(paths, size, channels), class_rows(torch.tensor(numbers))
