"""Images as files: a grid, a folder of pictures, or arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from adagen_rt.cli.support.captions import WHITE, caption_of, with_captions
from adagen_rt.cli.support.formats import PICTURES, QUALITY, check_suffix
from adagen_rt.cli.support.made import Facts, Made
from adagen_rt.cli.support.metadata import (
    KEY,
    MAX_JPEG_IMAGES,
    file_facts,
    picture_options,
)
from adagen_rt.engine.manifest import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable, replace_file, staged_files
from adagen_rt.sampling.pictures import (
    check_grid,
    good_arrays,
    image_name,
    is_folder,
    join_grid,
    save_arrays,
    to_picture,
)
from adagen_rt.sampling.result import Images


def check_target(path: Path, count: int, image: ImageSpec) -> None:
    """Refuse an ``--out`` that could not be written later.

    Args:
        path: The name of a picture or an .npz, or a folder.
        count: How many images.
        image: Their size.

    Raises:
        InputError: It is not one of those, or cannot be written.
    """
    if is_folder(path):
        check_writable("out", path, folder=True)
        return
    suffix = check_suffix("out", path, (*PICTURES, ".npz"), ", or a folder")
    if suffix in PICTURES:
        check_grid("out", count, image.size**2)
        if PICTURES[suffix] == "jpeg" and count > MAX_JPEG_IMAGES:
            expected = f"at most {MAX_JPEG_IMAGES} images in one {suffix}; take .png or .webp"
            raise InputError("out", f"{count} images", expected)
    check_writable("out", path)


def save_npz(path: Path, made: Made) -> None:
    """Write the good images, what they were conditioned on, and how they were made."""
    facts = np.array(json.dumps(file_facts(made, made.good)))
    save_arrays(path, {**good_arrays(made.result), KEY: facts})


def save_sheet(path: Path, made: Made, captions: bool) -> None:
    """Write the good images as a grid that is nearly square.

    Args:
        path: A picture.
        made: The images.
        captions: Whether class and seed stand under each.
    """
    facts, images = file_facts(made, made.good), made.result.images[made.good]
    if captions:
        images = with_captions(images, [caption_of(sample) for sample in facts["samples"]])
    grid = join_grid(images, fill=WHITE if captions else 0)
    save_picture(path, grid, facts)


def save_picture(path: Path, pixels: Images, facts: Facts) -> None:
    """Write one picture (H, W, C) in the format that its name ends with."""
    picture, kind = to_picture(pixels), PICTURES[path.suffix.lower()]
    replace_file(path, lambda temporary: write_picture(temporary, picture, kind, facts))


def save_folder(folder: Path, made: Made, total: int, suffix: str) -> list[Path]:
    """Write the good images, a file each; all appear, or none.

    Args:
        folder: Where.
        made: The images.
        total: How many the whole run has.
        suffix: How the names end.

    Returns:
        The files.
    """
    names = []
    with staged_files(folder) as staging:
        for place in made.good:
            facts = file_facts(made, [place])
            number = int(made.numbers[place])
            names.append(image_name(made.result, place, number, total) + suffix)
            picture = to_picture(made.result.images[place])
            write_picture(staging / names[-1], picture, PICTURES[suffix], facts)
    return [folder / name for name in names]


def write_picture(path: Path, picture: Image.Image, kind: str, facts: Facts) -> None:
    """Write a picture in place, in a format as Pillow calls it."""
    picture.save(path, format=kind, **QUALITY.get(kind, {}), **picture_options(kind, facts))
