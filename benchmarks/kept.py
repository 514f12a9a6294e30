"""Finished rows of a long benchmark, so that a rerun goes on after the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(path: Path | None) -> list[Row]:
    """Rows of an earlier run; a line that was cut off does not count."""
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def keep_row(path: Path | None, row: Row) -> None:
    """Adds a row to a file of JSON lines, if there is to be one."""
    if path is not None:
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
