"""Moves of finished files and folders, also to where a plain rename cannot reach."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

from adagen_rt.files.checks import contents
from adagen_rt.files.leftovers import temporary_folder

#: A rename fails so across file systems, in lower layers of an overlay (images of containers),
#: and at files and folders that are mounted themselves.
OUT_OF_REACH = (errno.EXDEV, errno.EBUSY, errno.EINVAL, errno.EPERM, errno.EACCES)


def place_file(source: Path, target: Path) -> None:
    """Put a file at ``target``: by a rename, or where that is impossible by writing into it."""
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in OUT_OF_REACH:
            raise
        pour(source, target)


def pour(source: Path, target: Path) -> None:
    """Write a file's content into ``target``, which may be a device or a pipe."""
    with source.open("rb") as content, target.open("wb") as file:
        shutil.copyfileobj(content, file)


def place_folder(source: Path, target: Path, marker: str) -> None:
    """Put a folder in the place of ``target``, of which nothing remains.

    At once where the system can swap two folders, else by renames, else one file after the other,
    ``marker`` last.
    """
    if source.parent == target or not _swap(source, target):
        _fill(source, target, marker)


def _swap(source: Path, target: Path) -> bool:
    """Rename ``source`` to ``target``; False where renames are out of reach."""
    try:
        source.rename(target)
        return True
    except OSError as error:
        if error.errno in OUT_OF_REACH:
            return False
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    return _exchange(source, target) or _rename_both(source, target)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically, where the system can (Linux)."""
    at_fdcwd, rename_exchange = -100, 2
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    arguments = (at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange)
    return bool(renameat2(*arguments) == 0)


def _rename_both(source: Path, target: Path) -> bool:
    """Move ``target`` out of the way, and ``source`` to its place."""
    with temporary_folder(target.parent, target.name) as retired:
        try:
            target.rename(retired)
        except OSError as error:
            if error.errno in OUT_OF_REACH:
                return False
            raise
        try:
            source.rename(target)
        except OSError:
            retired.rename(target)
            raise
    return True


def _fill(source: Path, target: Path, marker: str) -> None:
    """Move a folder's content into another, and remove what was there before."""
    target.mkdir(exist_ok=True)
    parts = sorted(source.iterdir(), key=lambda path: (path.name == marker, path.name))
    names = {path.name for path in parts}
    for path in parts:
        place = target / path.name
        if path.is_dir() or place.is_dir():
            _remove(place)
            shutil.move(path, place)
        else:
            place_file(path, place)
    for path in contents(target):
        if path.name not in names:
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
