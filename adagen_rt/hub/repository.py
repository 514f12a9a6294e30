"""A repository of a hub, read through `huggingface_hub` into the cache that all its users share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adagen_rt.errors import DownloadError, MissingExtraError
from adagen_rt.models.located import revision_folder

try:
    import huggingface_hub
    from huggingface_hub import constants, errors
except ImportError as error:
    raise MissingExtraError(error.name or "huggingface_hub", "hub") from error

#: What the hub's HTTP library raises where nobody answers; it is another one in each major version.
_HTTP_ERROR: type[Exception] = errors.HfHubHTTPError.__mro__[1]
#: Free bytes that a download leaves on the disk.
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, as the hub describes it.

    Attributes:
        size: Bytes; None where the hub is not asked.
        sha256: Its SHA-256; None for small files, which git has, and where the hub is not asked.
    """

    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """What a repository has at a revision.

    Attributes:
        commit: The revision's commit.
        licence: Its licence, in words.
        files: Its files by their paths.
        online: Whether the hub said so, rather than the cache.
    """

    commit: str
    licence: str
    files: dict[str, HubFile]
    online: bool = True


class Repository:
    """A repository at a revision.

    Args:
        name: `owner/name`.
        revision: Branch, tag or commit.
    """

    def __init__(self, name: str, revision: str = "main") -> None:
        self.name, self.revision = name, revision
        self.endpoint = os.environ.get("HF_ENDPOINT", constants.ENDPOINT).rstrip("/")
        self.cache = Path(os.environ.get("HF_HUB_CACHE", constants.HF_HUB_CACHE)).expanduser()

    @property
    def page(self) -> str:
        """Where people read about it."""
        return f"{self.endpoint}/{self.name}"

    def ask(self) -> Listing | None:
        """Ask the hub what there is; None where it cannot be reached.

        Raises:
            DownloadError: There is no such repository or revision, or it is not for everyone.
        """
        if constants.HF_HUB_OFFLINE:
            return None
        api = huggingface_hub.HfApi(endpoint=self.endpoint)
        try:
            with self._told():
                found = api.model_info(self.name, revision=self.revision, files_metadata=True)
        except UnreachableError:
            return None
        files = {
            one.rfilename: HubFile(one.size, one.lfs.sha256 if one.lfs else None)
            for one in found.siblings or ()
        }
        return Listing(str(found.sha), _licence(found), files)

    def cached(self) -> Listing | None:
        """List what the cache has of the revision; None without anything."""
        store = self.cache / f"models--{self.name.replace('/', '--')}"
        folder = revision_folder(store, self.revision)
        if not folder.is_dir():
            return None
        paths = [
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        ]
        return Listing(folder.name, "", {path: HubFile() for path in paths}, online=False)

    def fetch(self, path: str, listing: Listing) -> Path:
        """Fetch a file, unless the cache has it, and give its place in the cache's snapshot.

        Raises:
            DownloadError: It cannot be fetched, or the revision moved meanwhile.
        """
        with self._told(path):
            place = huggingface_hub.hf_hub_download(
                self.name,
                path,
                revision=self.revision,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                local_files_only=not listing.online,
            )
        found = Path(place)
        if listing.commit not in found.parts:
            raise DownloadError(
                f"{self.page}: {self.revision} moved while it was fetched; pull again"
            )
        return found

    def missing_bytes(self, paths: list[str], listing: Listing) -> int:
        """Add up the sizes of files that the cache lacks."""
        have = self.cached()
        known = have.files if have is not None and have.commit == listing.commit else {}
        return sum(listing.files[path].size or 0 for path in paths if path not in known)

    def check_room(self, size: int) -> None:
        """Refuse what does not fit on the cache's disk, before it is fetched.

        Raises:
            DownloadError: There is too little room.
        """
        place = next(path for path in (self.cache, *self.cache.parents) if path.exists())
        free = shutil.disk_usage(place).free
        if size and size + SPARE_BYTES > free:
            raise DownloadError(
                f"{self.cache}: got {free >> 20} MiB free, expected {(size + SPARE_BYTES) >> 20}; "
                "HF_HUB_CACHE names another place"
            )

    @contextmanager
    def _told(self, path: str | None = None) -> Iterator[None]:
        """Say what the hub's errors mean, in a line."""
        what = self.page if path is None else f"{self.page}: {path}"
        try:
            yield
        except errors.GatedRepoError as error:
            raise DownloadError(
                f"{what}: its owner asks for consent: accept the licence at {self.page}, then type "
                "`hf auth login` or set HF_TOKEN"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise DownloadError(f"{what}: it has no revision {self.revision!r:.80}") from error
        except errors.RepositoryNotFoundError as error:
            raise DownloadError(
                f"{what}: no such repository, or a private one (`hf auth login`, HF_TOKEN)"
            ) from error
        except errors.LocalEntryNotFoundError as error:
            raise UnreachableError(
                f"{what}: not in {self.cache}, and the hub cannot be reached"
            ) from error
        except errors.EntryNotFoundError as error:
            raise DownloadError(f"{what}: the repository has no such file") from error
        except errors.HfHubHTTPError as error:
            raise DownloadError(f"{what}: the hub answers: {_first_line(error)}") from error
        except (_HTTP_ERROR, ConnectionError, TimeoutError) as error:
            raise UnreachableError(
                f"{what}: the hub cannot be reached: {_first_line(error)}"
            ) from error
        except (errors.HFValidationError, errors.FileMetadataError) as error:
            raise DownloadError(f"{what}: {_first_line(error)}") from error


class UnreachableError(DownloadError):
    """Nobody answers, or nobody may be asked."""


def discard(path: Path) -> None:
    """Remove a damaged file from the cache, so that it is fetched again."""
    blob = path.resolve()
    path.unlink(missing_ok=True)
    blob.unlink(missing_ok=True)


def _licence(found: Any) -> str:
    """Say under which licence a repository is."""
    card: Any = found.card_data or {}
    name = card.get("license_name") or card.get("license") or "not said"
    link = card.get("license_link")
    gated = "; its owner asks for consent" if found.gated else ""
    return f"licence {name}" + (f" ({link})" if link else "") + gated


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
