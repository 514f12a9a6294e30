"""Writing beside the place where something is to be, and moving it there when it is complete."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adagen_rt.files.checks import check_target
from adagen_rt.files.leftovers import keep, temporary_folder
from adagen_rt.files.moving import place_file, place_folder, pour

#: No space, no more of a user's share, a file of more than the limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def staged_files(target: Path) -> Iterator[Path]:
    """Give a temporary folder whose files move into folder ``target`` when the block succeeds.

    Files of folders within it move into folders of the same names. An interruption at any moment
    leaves every earlier file whole. Other files in ``target`` stay as they are.
    """
    place = _real(target)
    place.mkdir(parents=True, exist_ok=True)
    with temporary_folder(place) as staging:
        with _naming(target):
            yield staging
            _finish(staging)
        with _keeping(staging, target):
            for path in sorted(path for path in staging.rglob("*") if path.is_file()):
                goal = place / path.relative_to(staging)
                goal.parent.mkdir(parents=True, exist_ok=True)
                place_file(path, goal)


def replace_file(target: Path, write: Callable[[Path], object]) -> None:
    """Have a file written beside ``target``, and move it there when it is complete.

    A link stays, and what it names is replaced. A device or a pipe is written into.
    """
    place = _real(target)
    special = target.exists() and not place.is_file()
    if not special:
        place.parent.mkdir(parents=True, exist_ok=True)
    beside = not special and os.access(place.parent, os.W_OK)
    with temporary_folder(place.parent if beside else Path(tempfile.gettempdir())) as staging:
        made = staging / target.name
        with _naming(target):
            write(made)
            _finish(staging)
        with _keeping(staging, target):
            place_file(made, place) if beside else pour(made, target)


def create_file(target: Path, content: bytes) -> None:
    """Write a small file, unless there is one; of several that try at once, one writes it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(target.parent) as staging:
        made = staging / target.name
        with _naming(target):
            made.write_bytes(content)
            _finish(staging)
        with suppress(FileExistsError):
            try:
                os.link(made, target)  # a rename would take the place of the other's file
            except FileExistsError:
                raise
            except OSError:  # a file system without hard links
                place_file(made, target)


@contextmanager
def staged_folder(target: Path, marker: str) -> Iterator[Path]:
    """Give a temporary sibling of ``target`` that takes its place when the block succeeds.

    A block that raises, or a process that dies, leaves an older ``target`` whole. A link stays,
    and what it names is replaced.

    Args:
        target: The folder to write.
        marker: A file that tells what may be replaced.

    Raises:
        InputError: ``target`` exists and has no ``marker``.
    """
    check_target(target, marker)
    place = _real(target)
    place.parent.mkdir(parents=True, exist_ok=True)
    within = _is_fixed(place)
    with temporary_folder(place if within else place.parent, "" if within else place.name) as made:
        with _naming(target):
            yield made
            mode = _finish(made)
        made.chmod(mode | (mode & 0o444) >> 2)  # whoever may read may enter
        with _keeping(made, target):
            place_folder(made, place, marker)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_fixed(folder: Path) -> bool:
    """Tell whether a folder has to stay, so that its content alone can be replaced.

    It is mounted, or this process is in it, or its parent may not be changed.
    """
    if not folder.is_dir():
        return False
    return (
        folder.is_mount()
        or Path.cwd().is_relative_to(folder)
        or not os.access(folder.parent, os.W_OK)
    )


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Have the error of a full disk name what was to be written, not what was read."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error


@contextmanager
def _keeping(staging: Path, target: Path) -> Iterator[None]:
    """Keep what was made where it cannot be put in its place, and say where it lies."""
    try:
        yield
    except OSError as error:
        told = f"{error.strerror}; what was made is in {keep(staging)}"
        raise OSError(error.errno, told, str(target)) from error


def _finish(staging: Path) -> int:
    """Give files the usual permissions and let them reach the disk; return the permissions."""
    mode = _usual_mode(staging)
    for path in staging.rglob("*"):
        if path.is_file():
            path.chmod(mode)
        _sync(path)
    return mode


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
