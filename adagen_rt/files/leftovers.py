"""Temporary folders of writers, which a writer that was killed leaves behind.

A writer holds a lock on its folder as long as it lives, on every system that has such locks;
whoever writes to the same place next removes the folders that nobody holds.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

#: Every temporary folder's name has this before its random part; folders whose work could not be
#: put in its place have the other.
MARK, KEPT = ".adagen-", ".kept-"
_NAME = re.compile(rf"(\..+)?{re.escape(MARK)}[a-z0-9_]{{8}}")


def is_leftover(path: Path) -> bool:
    """Tell whether a path is a writer's temporary folder by its name."""
    return _NAME.fullmatch(path.name) is not None


@contextmanager
def temporary_folder(parent: Path, name: str = "") -> Iterator[Path]:
    """Give a temporary folder within ``parent``, which is removed after the block.

    Args:
        parent: An existing folder; leftovers of the same name in it are removed.
        name: What is being written there, for the folder's name.
    """
    prefix = f".{name}{MARK}" if name else MARK
    _clear(parent, prefix)
    folder, lock = _make(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def keep(folder: Path) -> Path:
    """Rename a temporary folder, so that nobody removes it; return its new path."""
    kept = folder.with_name(folder.name.replace(MARK, KEPT))
    folder.rename(kept)
    return kept


def _make(parent: Path, prefix: str) -> tuple[Path, int | None]:
    """Make a folder and take its lock, where the system has such locks.

    Before it is locked, another writer may take it for a leftover; then another one is made.

    Raises:
        OSError: No folder can be made there; it names the parent.
    """
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:  # its random name says nothing
            raise OSError(error.errno, error.strerror, str(parent)) from None
        lock, lost = None, False
        try:
            lock = _lock(folder)
        except (BlockingIOError, FileNotFoundError):
            lost = True
        if not lost and folder.is_dir():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _clear(parent: Path, prefix: str) -> None:
    for path in parent.glob(f"{prefix}*"):
        if not is_leftover(path) or path.is_symlink() or not path.is_dir():
            continue
        # In a shared folder, such as the system's temporary one, there are other users' too.
        with suppress(BlockingIOError, FileNotFoundError, PermissionError):
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(folder: Path) -> int | None:
    """Take the lock of a folder until the returned descriptor is closed.

    Returns:
        The descriptor; None on a system without such locks.

    Raises:
        BlockingIOError: Somebody else has it.
        FileNotFoundError: The folder is gone.
        PermissionError: It is another user's.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
