"""The npm packages that the set is made of, and how they are fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adagen_rt.errors import InputError

CAPTIONS = "emojibase-data"


@dataclass(frozen=True)
class Artwork:
    """A style of pictures.

    Attributes:
        style: Its name in a prompt.
        package: The npm package, an icon set of Iconify.
        names_like: The package whose table of code points it uses, if it has none of its own.
    """

    style: str
    package: str
    names_like: str | None = None


FLUENT_FLAT = "@iconify-json/fluent-emoji-flat"

#: Every style; Apple's and Facebook's artwork has no licence that allows this.
ARTWORK = (
    Artwork("noto", "@iconify-json/noto"),
    Artwork("twemoji", "@iconify-json/twemoji"),
    Artwork("flat", FLUENT_FLAT),
    Artwork("glossy", "@iconify-json/fluent-emoji", names_like=FLUENT_FLAT),
)

#: The versions that the shipped engines were trained on.
PACKAGES = {
    CAPTIONS: "17.0.0",
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/twemoji": "1.2.5",
    FLUENT_FLAT: "1.2.6",
    "@iconify-json/fluent-emoji": "1.2.7",
}


class Package:
    """A package's archive as `npm pack` writes it; its files are read in place.

    Args:
        folder: Where the archives are.
        name: The package's name.

    Raises:
        InputError: The folder has no archive of the package.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.version = name, PACKAGES[name]
        self._path = folder / archive_name(name)
        if not self._path.is_file():
            raise InputError("packages", str(folder), f"a folder with {self._path.name}")

    def read(self, *files: str) -> list[Any]:
        """Read JSON files, named as in the package.

        Raises:
            InputError: The archive is damaged, or has no such file.
        """
        wanted = {f"package/{file}": file for file in files}
        found: dict[str, Any] = {}
        try:
            # A compressed archive is read once, from the start; nothing is unpacked to disk.
            with tarfile.open(self._path, "r:gz") as archive:
                for member in archive:
                    reader = archive.extractfile(member) if member.name in wanted else None
                    if reader:
                        found[wanted[member.name]] = json.load(reader)
            return [found[file] for file in files]
        except KeyError as error:
            raise InputError(self._path.name, "no such file", error.args[0]) from None
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            expected = f"the archive of {self.name} {self.version} ({error})"
            raise InputError(self._path.name, "a damaged file", expected) from None


def archive_name(name: str) -> str:
    """Name a package's archive as `npm pack` does."""
    return f"{name.removeprefix('@').replace('/', '-')}-{PACKAGES[name]}.tgz"


def fetch(folder: Path, names: Iterable[str] = PACKAGES) -> None:
    """Fetch the archives that a folder lacks, by `npm`, which knows registries and proxies.

    Raises:
        InputError: There is no `npm`, or it could not fetch them.
    """
    missing = [name for name in names if not (folder / archive_name(name)).is_file()]
    if not missing:
        return
    npm, wanted = shutil.which("npm"), [f"{name}@{PACKAGES[name]}" for name in missing]
    command = f"npm pack {' '.join(wanted)}"
    if npm is None:
        expected = f"npm, or a folder given by --packages in which somebody typed: {command}"
        raise InputError("npm", "not installed", expected)
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [npm, "pack", "--silent", *wanted], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise InputError("npm", said[-1] if said else "a failure", f"success of: {command}")
