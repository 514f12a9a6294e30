"""JSON of answers with large arrays, written in pieces between which other threads may run."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

#: Values that are written at once. Python's encoder lets no other thread run before its end, which
#: for the pixels of large images takes a second, and a probe would wait for it.
PIECE = 1 << 14
_SEPARATORS = (",", ":")


def write_json(value: Any) -> str:
    """Write a value as JSON without spaces.

    Args:
        value: What JSON knows, with arrays at any place; these are written flat, and null takes
            the place of numbers that are not finite.
    """
    if isinstance(value, np.ndarray):
        flat = value.ravel()
        pieces = [_numbers(flat[i : i + PIECE]) for i in range(0, flat.size, PIECE)]
        return f"[{','.join(pieces)}]"
    if isinstance(value, dict):
        fields = [f"{json.dumps(name)}:{write_json(item)}" for name, item in value.items()]
        return "{" + ",".join(fields) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(write_json, value))}]"
    return json.dumps(value, separators=_SEPARATORS)


def _numbers(array: np.ndarray) -> str:
    values = array.tolist()
    if array.dtype.kind == "f":
        known = np.isfinite(array)
        values = [one if good else None for one, good in zip(values, known, strict=True)]
    return json.dumps(values, separators=_SEPARATORS)[1:-1]
