"""Images as grids, pictures and arrays, and the names of their files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adagen_rt.condition import take_rows
from adagen_rt.errors import InputError
from adagen_rt.files import replace_file
from adagen_rt.types import Arrays

if TYPE_CHECKING:
    from PIL.Image import Image

    from adagen_rt.sampling.result import Images, Result

#: Largest picture in pixels; a larger one is not useful and takes more memory than the images.
MAX_GRID_PIXELS = 1 << 28


def to_picture(pixels: Images) -> Image:
    """Make a picture of pixels (H, W, c) uint8, grey or RGB."""
    # Whoever takes the arrays does not wait for it.
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def join_grid(images: Images, columns: int | None = None, fill: int = 0) -> Images:
    """Join images (N, H, W, c) row by row to one (height, width, c).

    Args:
        images: The images.
        columns: Images in a row; by default the grid is nearly square.
        fill: Value of what is left over in the last row.
    """
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    canvas = np.full((rows * columns, height, width, channels), fill, np.uint8)
    canvas[:count] = images
    grid = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    joined: Images = grid.reshape(rows * height, columns * width, channels)
    return joined


def to_grid(images: Images, columns: int | None = None) -> Image:
    """Make a picture of images (N, H, W, c); arguments as for `join_grid`."""
    return to_picture(join_grid(images, columns))


def check_grid(field: str, count: int, pixels: int) -> None:
    """Refuse a grid of more pixels than a picture can sensibly have."""
    most = MAX_GRID_PIXELS // pixels
    if count > most:
        raise InputError(
            field, f"{count} images", f"at most {most} in one picture; give a folder or .npz"
        )


def good_arrays(result: Result) -> Arrays:
    """Return the images that did not fail, their conditions and their seeds, by name."""
    good = result.good
    rows = result.condition.kept(take_rows(result.rows, np.array(good, np.int64)))
    return {"images": result.images[good], **rows, "seeds": result.seeds[good]}


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Write arrays into one compressed .npz."""

    def write(temporary: Path) -> None:
        # A file and not its path, to which NumPy would add a second ending after .NPZ.
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    replace_file(path, write)


def image_name(result: Result, place: int, number: int, total: int) -> str:
    """Name the file of an image, such as ``03-label2-seed7``, without an ending.

    Args:
        result: The images.
        place: Place of the image in the result.
        number: Its number in the whole run.
        total: Images of the whole run.
    """
    asked = result.condition.slug(result.rows, place)
    parts = [f"{number:0{len(str(total - 1))}}", asked, f"seed{result.seeds[place]}"]
    return "-".join(filter(None, parts))


def is_folder(path: Path) -> bool:
    """Whether a name is that of a folder of images."""
    return path.is_dir() or not path.suffix
