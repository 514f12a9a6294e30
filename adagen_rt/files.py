"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adagen_rt.errors import InputError


def check_writable(field: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a path that could not be written later.

    Args:
        field: The option's name.
        path: Where a file, or a folder of files, is to appear.
        folder: Whether it is a folder.

    Raises:
        InputError: It cannot be written.
    """
    if folder and path.exists() and not path.is_dir():
        raise InputError(field, str(path), "a folder, but this is a file")
    if not folder and path.is_dir():
        raise InputError(field, str(path), "a file, but this is a folder")
    full = path.absolute()
    candidates = (full, *full.parents) if folder else full.parents
    nearest = next(parent for parent in candidates if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(field, str(path), f"a place to write, but {nearest} is none")


@contextmanager
def staged_files(target: Path) -> Iterator[Path]:
    """A temporary folder whose files move into folder ``target`` when the block succeeds.

    Other files in ``target`` stay as they are.
    """
    target.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adagen-", dir=target))
    try:
        yield staging
        for path in sorted(staging.iterdir()):
            path.replace(target / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside ``target`` and move it there when it is complete."""
    with staged_files(target.parent) as staging:
        write(staging / target.name)
