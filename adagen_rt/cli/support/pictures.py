"""Images as files: a grid, a folder of PNGs, or arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from adagen_rt.condition import take_rows
from adagen_rt.engine.manifest import ImageSpec, Manifest
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable, replace_file, staged_files
from adagen_rt.sampling.picture import to_picture
from adagen_rt.sampling.result import Images, Result

#: Largest picture in pixels; a larger one is not useful and takes more memory than the images.
MAX_GRID_PIXELS = 1 << 28


def check_target(path: Path, count: int, image: ImageSpec) -> None:
    """Refuse an ``--out`` that could not be written later.

    Args:
        path: A name ending .png or .npz, or a folder.
        count: Number of images.
        image: Their size.

    Raises:
        InputError: The path has another ending, or cannot be written.
    """
    if _is_folder(path):
        check_writable("out", path, folder=True)
        return
    if path.suffix not in (".png", ".npz"):
        raise InputError("out", str(path), "a name ending .png or .npz, or a folder")
    if path.suffix == ".png":
        check_grid("out", count, image)
    check_writable("out", path)


def check_grid(field: str, count: int, image: ImageSpec) -> None:
    """Refuse a grid of more pixels than a picture can sensibly have."""
    most = MAX_GRID_PIXELS // image.size**2
    if count > most:
        raise InputError(
            field, f"{count} images", f"at most {most} in one picture; give a folder or .npz"
        )


def save_images(path: Path, manifest: Manifest, result: Result, chosen: list[int]) -> list[Path]:
    """Write images in the format of the name's ending.

    Args:
        path: A name ending .png or .npz, or a folder.
        manifest: The engine's.
        result: The generated images.
        chosen: Places of the images to write.

    Returns:
        The files written.
    """
    if _is_folder(path):
        return _save_folder(path, manifest, result, chosen)
    images = result.images[chosen]
    if path.suffix == ".npz":
        rows = take_rows(result.rows, np.array(chosen))
        arrays = {"images": images, **rows, "seeds": result.seeds[chosen]}
        replace_file(path, lambda temporary: np.savez_compressed(temporary, **arrays))
    else:
        columns = int(np.ceil(np.sqrt(len(images))))
        save_grid(path, images, columns)
    return [path]


def save_grid(path: Path, images: Images, columns: int) -> None:
    """Write images (N, H, W, C) row by row into one picture."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    canvas = np.zeros((rows * columns, height, width, channels), np.uint8)
    canvas[:count] = images
    grid = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    picture = to_picture(grid.reshape(rows * height, columns * width, channels))
    replace_file(path, lambda temporary: picture.save(temporary, format="png"))


def _save_folder(folder: Path, manifest: Manifest, result: Result, chosen: list[int]) -> list[Path]:
    digits = len(str(len(result) - 1))
    names = []
    with staged_files(folder) as staging:
        for i in chosen:
            asked = manifest.condition.describe(result.rows, i) | {"seed": result.seeds[i]}
            parts = [f"{name}{value}" for name, value in asked.items()]
            names.append("-".join([f"{i:0{digits}}", *parts]) + ".png")
            to_picture(result.images[i]).save(staging / names[-1])
    return [folder / name for name in names]


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix
