"""Whether something could be written to a path later, asked before the work."""

from __future__ import annotations

import os
from pathlib import Path

from adagen_rt.errors import InputError
from adagen_rt.files.leftovers import is_leftover

#: What a fresh file system has in its uppermost folder.
LOST_AND_FOUND = "lost+found"


def check_writable(field: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a path that could not be written later.

    Args:
        field: The option's name.
        path: Path of the future file, or of the folder of files; a link counts as what it names.
        folder: Whether it is a folder.

    Raises:
        InputError: The path cannot be written.
    """
    place = Path(os.path.realpath(path))
    if folder and path.exists() and not path.is_dir():
        raise InputError(field, str(path), "a folder, but this is a file")
    if not folder and path.is_dir():
        raise InputError(field, str(path), "a file, but this is a folder")
    if not folder and path.exists() and os.access(path, os.W_OK):
        return  # written into, where nothing can be put beside it
    candidates = (place, *place.parents) if folder else place.parents
    nearest = next(parent for parent in candidates if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(field, str(path), f"a place to write, but {nearest} is none")


def check_target(target: Path, marker: str) -> None:
    """Refuse a folder that could not be written, or in whose place something else lies.

    Args:
        target: The folder.
        marker: A file that tells what may be replaced.

    Raises:
        InputError: ``target`` exists and has no ``marker``, or cannot be written.
    """
    if not _may_replace(target, marker):
        raise InputError("out", str(target), f"a new folder, or one that has a {marker}")
    check_writable("out", target, folder=True)


def check_addable(target: Path, marker: str, field: str) -> None:
    """Refuse a folder that files cannot be added to, or in whose place something else lies.

    Arguments and errors are those of `check_target`; folders without a file are nothing.
    """
    if target.is_dir() and not (target / marker).is_file() and _holds_files(target):
        raise InputError(field, str(target), f"a new folder, or one that has a {marker}")
    check_writable(field, target, folder=True)


def contents(folder: Path) -> list[Path]:
    """List what lies in a folder, but for what writers and file systems leave there."""
    return [
        path for path in folder.iterdir() if path.name != LOST_AND_FOUND and not is_leftover(path)
    ]


def _holds_files(folder: Path) -> bool:
    """Tell whether there is anything in a folder but folders, as a failed writer leaves them."""
    return any(
        _holds_files(path) if path.is_dir() and not path.is_symlink() else True
        for path in contents(folder)
    )


def _may_replace(target: Path, marker: str) -> bool:
    """Tell whether ``target`` is missing, empty, or an older folder of the same kind."""
    if not target.is_dir():
        return not target.exists()
    return (target / marker).is_file() or not contents(target)
