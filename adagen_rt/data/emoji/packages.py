"""The npm packages that the set is made of."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adagen_rt.errors import InputError
from adagen_rt.npm import archive_name, read_archive

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
        self._path = folder / archive_name(name, self.version)
        if not self._path.is_file():
            raise InputError("packages", str(folder), f"a folder with {self._path.name}")

    def read(self, *files: str) -> list[Any]:
        """Read JSON files, named as in the package.

        Raises:
            InputError: The archive is damaged, or has no such file.
        """
        try:
            found = read_archive(self._path, files)
            return [json.loads(found[file]) for file in files]
        except KeyError as error:
            raise InputError(self._path.name, "no such file", error.args[0]) from None
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            expected = f"the archive of {self.name} {self.version} ({error})"
            raise InputError(self._path.name, "a damaged file", expected) from None
