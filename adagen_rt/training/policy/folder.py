"""Labelled images in a folder, read when they are needed: ImageNet does not fit in memory."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from adagen_rt.condition import class_rows
from adagen_rt.errors import InputError
from adagen_rt.training.policy.environment import Tensors

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
#: Decoding waits for the disk and lets go of Python's lock.
READERS = 8


class FolderPixels:
    """Images of a folder as if they were a tensor (N, 3, size, size) uint8.

    Args:
        paths: The images.
        size: Side to which they are scaled (the shorter side, then the middle is cut out).
    """

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Read the images numbered `rows` (n,): (n, 3, size, size) uint8."""
        with ThreadPoolExecutor(READERS) as pool:
            images = list(pool.map(self._read, [self.paths[row] for row in rows.tolist()]))
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(self.device)

    def to(self, device: torch.device | str) -> FolderPixels:
        """Return the same images, delivered to another device."""
        other = copy.copy(self)
        other.device = torch.device(device)
        return other

    def _read(self, path: Path) -> np.ndarray:
        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except OSError as error:
            raise InputError("--data", str(path), f"an image ({error})") from error
        scale = self.size / min(image.size)
        width, height = (max(self.size, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))


def load_image_folder(folder: str | Path, classes: int, size: int) -> tuple[FolderPixels, Tensors]:
    """Open images in a folder per class, with classes numbered in the order of folder names.

    Args:
        folder: Parent of the class folders, as in ImageNet's training set.
        classes: Expected number of classes.
        size: Side of the images that the generator makes.

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
    return FolderPixels(paths, size), class_rows(torch.tensor(numbers))
