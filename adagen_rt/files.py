"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adagen_rt.errors import InputError

#: No space, no more of a user's share, a file of more than the limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_writable(field: str, path: Path, *, folder: bool = False) -> None:
    """Refuse a path that could not be written later.

    Args:
        field: The option's name.
        path: Path of the future file, or of the folder of files.
        folder: Whether it is a folder.

    Raises:
        InputError: The path cannot be written.
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
    """Give a temporary folder whose files move into folder ``target`` when the block succeeds.

    An interruption at any moment leaves every earlier file whole. Other files in ``target`` stay
    as they are.
    """
    target.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adagen-", dir=target))
    try:
        with _naming(target):
            yield staging
            mode = _usual_mode(staging)
            for path in sorted(staging.iterdir()):
                path.chmod(mode)
                _sync(path)
                path.replace(target / path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside ``target``, and move it there when it is complete."""
    with _naming(target), staged_files(target.parent) as staging:
        write(staging / target.name)


@contextmanager
def staged_folder(target: Path, marker: str) -> Iterator[Path]:
    """Give a temporary sibling of ``target`` that takes its place when the block succeeds.

    A block that raises, or a process that dies, leaves an older ``target`` whole.

    Args:
        target: The folder to write.
        marker: A file that tells what may be replaced.

    Raises:
        InputError: ``target`` exists and has no ``marker``.
    """
    check_target(target, marker)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _naming(target):
            yield staging
            mode = _usual_mode(staging)
            for path in staging.iterdir():
                if path.is_file():
                    path.chmod(mode)
                _sync(path)
            staging.chmod(mode | (mode & 0o444) >> 2)  # whoever may read may enter
            _replace_folder(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_target(target: Path, marker: str) -> None:
    """Refuse to write where something else lies; as for `staged_folder`."""
    if not _may_replace(target, marker):
        raise InputError("out", str(target), f"a new folder, or one that has a {marker}")


def _may_replace(target: Path, marker: str) -> bool:
    """Tell whether ``target`` is missing, empty, or an older folder of the same kind."""
    if not target.is_dir():
        return not target.exists()
    return (target / marker).is_file() or not any(target.iterdir())


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Have the error of a full disk name what was to be written, not what was read."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


def _usual_mode(folder: Path) -> int:
    """Return the permissions of new files; some libraries write theirs for the owner alone."""
    probe = folder / ".adagen-mode"
    probe.touch()
    mode = probe.stat().st_mode & 0o777
    probe.unlink()
    return mode


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace_folder(staging: Path, target: Path) -> None:
    """Put ``staging`` at ``target``; the older folder ends up at ``staging``."""
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not _exchange(staging, target):
            retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            target.rename(retired)
            staging.rename(target)
            shutil.rmtree(retired, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders atomically, where the system can (Linux)."""
    at_fdcwd, rename_exchange = -100, 2
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    if renameat2 is None:
        return False
    arguments = (at_fdcwd, os.fsencode(one), at_fdcwd, os.fsencode(other), rename_exchange)
    return bool(renameat2(*arguments) == 0)
