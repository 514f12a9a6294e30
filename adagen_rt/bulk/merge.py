"""All shards as one array, which ADM's evaluation reads."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from adagen_rt.bulk.formats import FORMATS
from adagen_rt.bulk.making import Work
from adagen_rt.bulk.targets import Target
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.errors import InputError
from adagen_rt.files import replace_file
from adagen_rt.sampling.result import Images

#: Name of the array, as NumPy calls the first one that has none.
ARRAY = "arr_0"
#: A file of NumPy is stored as it is, so that readers can take parts of it.
SUFFIX = ".npz"
#: What libraries raise at a file that is not theirs, besides errors of values.
FAULTS = (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile)


def merge(work: Work, target: Target, image: ImageSpec, path: Path) -> int:
    """Write the images of all shards into one .npz: (N, height, width, 3) uint8.

    Only a shard is in memory at a time.

    Returns:
        How many images; fewer than the job's where samples failed.

    Raises:
        InputError: A shard is missing.
    """
    if missing := work.missing(target, work.plan.shards):
        expected = f"all shards first: {len(missing)} of {len(work.plan.shards)} are missing"
        raise InputError("merge", str(path), expected)
    count = sum(len(images) for images in _images(work, target))
    shape = (count, *image.size, 3)
    replace_file(path, lambda made: _write(made, shape, _images(work, target)))
    return count


def _images(work: Work, target: Target) -> Iterator[Images]:
    """Read all images, in order.

    Raises:
        InputError: A shard is not what was written.
    """
    form = FORMATS[work.kind]
    for shard in work.plan.shards:
        name = work.name(shard)
        try:
            with target.fetch(name) as path:
                yield from form.read(path)
        except (*FAULTS, KeyError, ValueError) as error:
            expected = f"a whole shard ({error}); remove it, and the same command makes it again"
            raise InputError("merge", f"{target}/{name}", expected) from error


def _write(path: Path, shape: tuple[int, ...], images: Iterator[Images]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with (
        zipfile.ZipFile(path, "w") as archive,
        archive.open(f"{ARRAY}.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
        for some in images:
            file.write(np.broadcast_to(some, (*some.shape[:3], 3)).tobytes())
