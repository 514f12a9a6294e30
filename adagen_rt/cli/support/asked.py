"""What images are asked for, from a file with a line each."""

from __future__ import annotations

from pathlib import Path

from adagen_rt.errors import InputError


def read_lines(field: str, path: Path) -> list[str]:
    """Read a text file of UTF-8: a class or prompt a line, in the order of the images.

    Raises:
        InputError: It has no lines, an empty one, or is no such file.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(field, str(path), f"a text file of UTF-8 ({error.reason})") from None
    if not lines:
        raise InputError(field, str(path), "a file with a line for each image")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(field, f"{path}, line {number}: nothing", "a class or prompt a line")
    return [line.strip() for line in lines]
