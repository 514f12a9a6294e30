"""Places for shards: a folder, or whatever fsspec reaches, such as an object store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from adagen_rt.errors import InputError, needs_extra
from adagen_rt.files import check_writable, create_file, replace_file, staged_folder

Write = Callable[[Path], object]

#: Where a finished upload appears at once; elsewhere it is renamed when it is complete.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"}


class Target(Protocol):
    """A place for shards, in which each appears whole or not at all."""

    def names(self, marker: str | None) -> set[str]:
        """List what is there; with a marker, only folders that have a file of that name."""

    def put(self, name: str, write: Write, marker: str | None) -> None:
        """Have a file, or with a marker a folder, written, and put it there when it is whole."""

    def claim(self, name: str, content: bytes) -> bytes:
        """Write a small file unless it is there, and return what it holds."""

    def fetch(self, name: str) -> Any:
        """Give a path with what lies there, for a block."""


def open_target(place: str) -> Target:
    """Open a folder, or a URL of fsspec.

    Raises:
        InputError: It is no place to write.
        MissingExtraError: A URL needs fsspec, or a package of its own.
    """
    protocol, separator, rest = place.partition("://")
    if separator and protocol not in ("file", "local"):
        return RemoteTarget(place)
    return FolderTarget(Path(rest if separator else place))


class FolderTarget:
    """A folder of this machine, or of a file system that several share."""

    def __init__(self, folder: Path) -> None:
        check_writable("out", folder, folder=True)
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def names(self, marker: str | None) -> set[str]:
        """See `Target`."""
        if not self.folder.is_dir():
            return set()
        if marker is not None:
            return {path.parent.name for path in self.folder.glob(f"[!.]*/{marker}")}
        return {entry.name for entry in os.scandir(self.folder)}

    def put(self, name: str, write: Write, marker: str | None) -> None:
        """See `Target`."""
        if marker is None:
            replace_file(self.folder / name, write)
            return
        with staged_folder(self.folder / name, marker) as staging:
            write(staging)

    def claim(self, name: str, content: bytes) -> bytes:
        """See `Target`; of several that begin together, one writes it."""
        path = self.folder / name
        if not path.exists():
            create_file(path, content)
        return path.read_bytes()

    @contextmanager
    def fetch(self, name: str) -> Iterator[Path]:
        """See `Target`."""
        yield self.folder / name


class RemoteTarget:
    """What a URL of fsspec names, such as ``s3://bucket/folder``."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._protocol = url.partition("://")[0]
        with needs_extra("bulk", "fsspec"):
            from fsspec.core import url_to_fs
        try:
            self._files, self._root = url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            raise InputError("out", url, f"a folder or a URL of fsspec ({error})") from None

    def __str__(self) -> str:
        return self._url

    def names(self, marker: str | None) -> set[str]:
        """See `Target`."""
        self._files.invalidate_cache()
        if marker is not None:
            found = self._files.glob(f"{self._root}/*/{marker}")
            return {str(path).split("/")[-2] for path in found}
        try:
            listed = self._files.ls(self._root, detail=False)
        except FileNotFoundError:
            return set()
        return {str(path).rstrip("/").rpartition("/")[2] for path in listed}

    def put(self, name: str, write: Write, marker: str | None) -> None:
        """See `Target`; the marker of a folder comes last."""
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / name
            if marker is None:
                write(made)
                self._upload(made, name)
                return
            made.mkdir()
            write(made)
            for path in sorted(made.iterdir(), key=lambda path: (path.name == marker, path.name)):
                self._upload(path, f"{name}/{path.name}")

    def _upload(self, source: Path, name: str) -> None:
        place = f"{self._root}/{name}"
        if self._protocol in OBJECT_STORES:
            self._files.put_file(str(source), place)
            return
        parent, _, last = place.rpartition("/")
        self._files.makedirs(parent, exist_ok=True)
        part = f"{parent}/.{last}.{os.getpid()}.part"
        self._files.put_file(str(source), part)
        self._files.mv(part, place)

    def claim(self, name: str, content: bytes) -> bytes:
        """See `Target`; of several that begin together the last one's stays, and is read by all."""
        place = f"{self._root}/{name}"
        if not self._files.exists(place):
            self.put(name, lambda made: made.write_bytes(content), None)
        return bytes(self._files.cat_file(place))

    @contextmanager
    def fetch(self, name: str) -> Iterator[Path]:
        """See `Target`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            self._files.get(f"{self._root}/{name}", str(path), recursive=True)
            yield path
