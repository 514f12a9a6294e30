"""File names, and the formats that they ask for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from adagen_rt.errors import InputError

#: Formats of a picture as Pillow calls them, by the end of a file's name.
PICTURES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
#: Formats of the steps; the last two move.
STEPS = {".png": "png", ".gif": "gif", ".webp": "webp"}
#: Formats of a plot as matplotlib calls them.
PLOTS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
#: What Pillow is told beside the format: no format here loses more than it has to.
QUALITY: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}


class NamedPath(click.Path):
    """A path that has a name: an empty one would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name."""
        if value == "":
            raise InputError(_field(param), value, "the name of a file or folder")
        return super().convert(value, param, ctx)


def check_suffix(field: str, path: Path, accepted: Iterable[str], more: str = "") -> str:
    """Return the end of a file's name in small letters.

    Args:
        field: The option's name.
        path: The file.
        accepted: Ends that are.
        more: What else would be accepted, in words.

    Raises:
        InputError: It is none of those.
    """
    suffix = path.suffix.lower()
    ends = tuple(accepted)
    if suffix not in ends:
        listed = f"{', '.join(ends[:-1])} or {ends[-1]}"
        raise InputError(field, str(path), f"a name ending {listed}{more}")
    return suffix


def _field(param: click.Parameter | None) -> str:
    return "path" if param is None else str(param.name)
