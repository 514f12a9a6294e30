"""Formats of pictures, which the ends of their names ask for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from adagen_rt.errors import InputError

#: Formats of a picture as Pillow calls them, by the end of a file's name.
PICTURES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
#: Formats of the steps; the last two move.
STEPS = {".png": "png", ".gif": "gif", ".webp": "webp"}
#: What Pillow is told beside the format: no format here loses more than it has to.
QUALITY: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}
#: Arrays instead of a picture.
ARRAYS = ".npz"


def check_suffix(field: str, path: Path, accepted: Iterable[str], more: str = "") -> str:
    """Return the end of a file's name in small letters.

    Args:
        field: What the caller calls it.
        path: The file.
        accepted: Ends that are.
        more: What else would be accepted, in words.

    Raises:
        InputError: It is none of those.
    """
    suffix = path.suffix.lower()
    ends = tuple(accepted)
    if suffix not in ends:
        listed = " or ".join(filter(None, (", ".join(ends[:-1]), ends[-1])))
        raise InputError(field, str(path), f"a name ending {listed}{more}")
    return suffix
