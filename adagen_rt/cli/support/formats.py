"""File names of options, and the formats of plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adagen_rt.errors import InputError

#: Formats of a plot as matplotlib calls them.
PLOTS = {".png": "png", ".svg": "svg", ".pdf": "pdf"}


class NamedPath(click.Path):
    """A path that has a name: an empty one would be the current folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name."""
        if value == "":
            raise InputError(_field(param), value, "the name of a file or folder")
        return super().convert(value, param, ctx)


def _field(param: click.Parameter | None) -> str:
    return "path" if param is None else str(param.name)
