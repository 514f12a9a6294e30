"""Images as files that say how they were made: a grid, a folder of pictures, or arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from adagen_rt.errors import InputError, SampleError
from adagen_rt.files import check_writable, replace_file, staged_files
from adagen_rt.sampling.captions import WHITE, caption_of, with_captions
from adagen_rt.sampling.encoding import write_picture
from adagen_rt.sampling.facts import MAX_JPEG_IMAGES, MAX_JPEG_WORDS, file_facts
from adagen_rt.sampling.formats import ARRAYS, PICTURES, check_suffix
from adagen_rt.sampling.origin import KEY, Facts
from adagen_rt.sampling.pictures import (
    check_grid,
    good_arrays,
    image_name,
    is_folder,
    join_grid,
    save_arrays,
    to_picture,
)
from adagen_rt.sampling.result import Images, Result

#: Formats of the pictures in a folder, the usual one first.
KINDS = tuple(suffix[1:] for suffix in PICTURES)


def check_target(
    field: str, path: Path, count: int, pixels: int, kind: str | None = None, words: int = 0
) -> None:
    """Refuse a path that images could not be written to.

    Args:
        field: What the caller calls it.
        path: The name of a picture or an .npz, or a folder.
        count: How many images.
        pixels: Number of pixels of one image.
        kind: Format of the pictures in a folder.
        words: Characters of the images' prompts, which the file says.

    Raises:
        InputError: It is not one of those, or cannot be written.
    """
    if kind is not None and kind not in KINDS:
        raise InputError("format", kind, f"one of {', '.join(KINDS)}")
    if is_folder(path):
        if path.name.lower() in (*PICTURES, ARRAYS):  # such as $NAME.png without a NAME
            raise InputError(field, str(path), f"a name before {path.name}")
        check_writable(field, path, folder=True)
        return
    suffix = check_suffix(field, path, (*PICTURES, ARRAYS), ", or a folder")
    if kind is not None:
        raise InputError("format", kind, "a folder to write to; a file's name says its own")
    if suffix in PICTURES:
        check_grid(field, count, pixels)
        if PICTURES[suffix] == "jpeg" and count > MAX_JPEG_IMAGES:
            expected = f"at most {MAX_JPEG_IMAGES} images in one {suffix}; take .png or .webp"
            raise InputError(field, f"{count} images", expected)
        if PICTURES[suffix] == "jpeg" and words > MAX_JPEG_WORDS:
            expected = f"at most {MAX_JPEG_WORDS} in one {suffix}; take .png or .webp"
            raise InputError(field, f"prompts of {words} characters", expected)
    check_writable(field, path)


def save_images(
    path: Path, result: Result, kind: str | None = None, captions: bool = False
) -> list[Path]:
    """Write the good images; arguments were checked by `check_target`.

    Args:
        path: A picture, an .npz or a folder.
        result: The images.
        kind: Format of the pictures in a folder; None is the usual one.
        captions: Whether class and seed stand under each image of a grid.

    Returns:
        The files written.

    Raises:
        SampleError: All have failed.
    """
    if not result.good:
        raise SampleError(min(result.failures.values()))
    if is_folder(path):
        return save_folder(path, result, len(result), f".{kind or KINDS[0]}")
    if path.suffix.lower() == ARRAYS:
        facts = np.array(json.dumps(file_facts(result, result.good)))
        save_arrays(path, {**good_arrays(result), KEY: facts})
    else:
        _save_sheet(path, result, captions)
    return [path]


def _save_sheet(path: Path, result: Result, captions: bool) -> None:
    """Write the good images as a grid that is nearly square."""
    facts, images = file_facts(result, result.good), result.images[result.good]
    if captions:
        images = with_captions(images, [caption_of(sample) for sample in facts["samples"]])
    grid = join_grid(images, fill=WHITE if captions else 0)
    save_picture(path, grid, facts)


def save_picture(path: Path, pixels: Images, facts: Facts) -> None:
    """Write one picture (H, W, C) in the format that its name ends with."""
    picture, kind = to_picture(pixels), PICTURES[path.suffix.lower()]
    replace_file(path, lambda temporary: write_picture(temporary, picture, kind, facts))


def save_folder(folder: Path, result: Result, total: int, suffix: str) -> list[Path]:
    """Write the good images, a file each; all appear, or none.

    Args:
        folder: Where.
        result: The images.
        total: How many the whole run has.
        suffix: How the names end.

    Returns:
        The files.
    """
    names = []
    with staged_files(folder) as staging:
        for place in result.good:
            facts = file_facts(result, [place])
            number = int(result.origin.numbers[place])
            names.append(image_name(result, place, number, total) + suffix)
            picture = to_picture(result.images[place])
            write_picture(staging / names[-1], picture, PICTURES[suffix], facts)
    return [folder / name for name in names]
