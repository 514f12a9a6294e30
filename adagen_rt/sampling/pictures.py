"""Images as pictures and files: a grid, a folder of PNGs, or arrays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adagen_rt.condition import take_rows
from adagen_rt.errors import InputError, SampleError
from adagen_rt.files import check_writable, replace_file, staged_files
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


def check_target(field: str, path: Path, count: int, pixels: int) -> None:
    """Refuse a path that images could not be written to.

    Args:
        field: What the caller calls it.
        path: A name ending .png or .npz, or a folder.
        count: Number of images.
        pixels: Number of pixels of one image.

    Raises:
        InputError: The path has another ending, or cannot be written.
    """
    if is_folder(path):
        check_writable(field, path, folder=True)
        return
    if path.suffix not in (".png", ".npz"):
        raise InputError(field, str(path), "a name ending .png or .npz, or a folder")
    if path.suffix == ".png":
        check_grid(field, count, pixels)
    check_writable(field, path)


def check_grid(field: str, count: int, pixels: int) -> None:
    """Refuse a grid of more pixels than a picture can sensibly have."""
    most = MAX_GRID_PIXELS // pixels
    if count > most:
        raise InputError(
            field, f"{count} images", f"at most {most} in one picture; give a folder or .npz"
        )


def save_images(path: Path, result: Result) -> list[Path]:
    """Write the images that did not fail, in the format of the name's ending.

    Args:
        path: A name ending .png or .npz, or a folder.
        result: The generated images.

    Returns:
        The files written.

    Raises:
        SampleError: All have failed.
    """
    if not result.good:
        raise SampleError(min(result.failures.values()))
    if is_folder(path):
        return _save_folder(path, result)
    if path.suffix == ".npz":
        save_arrays(path, good_arrays(result))
    else:
        picture = to_grid(result.images[result.good])
        replace_file(path, lambda temporary: picture.save(temporary, format="png"))
    return [path]


def good_arrays(result: Result) -> Arrays:
    """Return the images that did not fail, their conditions and their seeds, by name."""
    good = result.good
    rows = take_rows(result.rows, np.array(good))
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
    asked = result.condition.describe(result.rows, place) | {"seed": result.seeds[place]}
    parts = [f"{name}{value}" for name, value in asked.items()]
    return "-".join([f"{number:0{len(str(total - 1))}}", *parts])


def _save_folder(folder: Path, result: Result) -> list[Path]:
    names = []
    with staged_files(folder) as staging:
        for i in result.good:
            names.append(f"{image_name(result, i, i, len(result))}.png")
            to_picture(result.images[i]).save(staging / names[-1])
    return [folder / name for name in names]


def is_folder(path: Path) -> bool:
    """Whether a name is that of a folder of images."""
    return path.is_dir() or not path.suffix
