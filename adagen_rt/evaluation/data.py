"""Fashion-MNIST from its IDX files."""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import InputError
from adagen_rt.models.known_images import BORDER

SPLITS = {"train": "train", "test": "t10k"}
UNSIGNED_BYTE = 0x08
WHERE_TO_GET = (
    "install the Debian package dataset-fashion-mnist, or download the four files from "
    "https://github.com/zalandoresearch/fashion-mnist"
)


@dataclass(frozen=True)
class Images:
    """A labelled set of images.

    Args:
        pixels: (N, 32, 32) uint8, 0 is black.
        classes: (N,) int64.
    """

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]


def load_fashion_mnist(folder: str | Path, split: str) -> Images:
    """Read one split, with its images padded to 32 x 32.

    Args:
        folder: Folder of the IDX files, gzipped or not.
        split: `"train"` (60,000 images) or `"test"` (10,000).

    Raises:
        InputError: A file is missing, is no IDX file or does not fit the other one.
    """
    if split not in SPLITS:
        raise InputError("split", split, "train or test")
    prefix = SPLITS[split]
    pixels = read_idx(_find(Path(folder), f"{prefix}-images-idx3-ubyte"), dimensions=3)
    classes = read_idx(_find(Path(folder), f"{prefix}-labels-idx1-ubyte"), dimensions=1)
    if len(pixels) != len(classes):
        raise InputError(f"{prefix}-labels", len(classes), f"one label for each of {len(pixels)}")
    padding = ((0, 0), (BORDER, BORDER), (BORDER, BORDER))
    return Images(np.pad(pixels, padding), classes.astype(np.int64))


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped if its name ends in `.gz`.

    Args:
        path: The file.
        dimensions: Number of dimensions that it must have.

    Raises:
        InputError: The file is not such a file, or is cut short.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(str(path), str(error), "a complete gzip file") from error
    header = 4 + 4 * dimensions
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if len(content) < header or content[:4] != magic:
        expected = f"an IDX file of bytes in {dimensions} dimensions (magic {magic.hex()})"
        raise InputError(str(path), content[:4].hex(), expected)
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    size = int(np.prod(shape, dtype=object))
    if len(content) - header != size:
        raise InputError(str(path), f"{len(content) - header} bytes", f"{size} bytes of data")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise InputError("--data", str(folder), f"a folder with {name}[.gz]; {WHERE_TO_GET}")
