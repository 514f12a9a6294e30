"""Named arrays with a row per sample, and batches in which every row has a null twin."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace, device

from adagen_rt.types import Array, Arrays


def count_rows(rows: Arrays) -> int:
    """Count the samples of named arrays."""
    return int(next(iter(rows.values())).shape[0])


def take_rows(rows: Arrays, places: Any) -> Arrays:
    """Select samples, by an index array or a slice."""
    return {name: values[places] for name, values in rows.items()}


def join_rows(parts: list[Arrays]) -> Arrays:
    """Put samples one after the other."""
    xp = array_namespace(*parts[0].values())
    return {name: xp.concat([part[name] for part in parts]) for name in parts[0]}


def paired(rows: Array, count: int) -> Array:
    """Index the conditional and then the null rows of samples, among those of ``count``."""
    joined: Array = array_namespace(rows).concat([rows, rows + count])
    return joined


def halves(array: Array, axis: int = 0) -> tuple[Array, Array]:
    """Split an axis into its conditional and its null rows."""
    xp = array_namespace(array)
    if axis == 0:
        half = array.shape[0] // 2
        return array[:half, ...], array[half:, ...]
    count = array.shape[axis] // 2
    rows = xp.arange(2 * count, device=device(array))
    return xp.take(array, rows[:count], axis=axis), xp.take(array, rows[count:], axis=axis)


def join_paired(first: Array, second: Array, axis: int = 0) -> Array:
    """Join two batches of paired rows: both conditional halves, then both null halves."""
    xp = array_namespace(first, second)
    both = zip(halves(first, axis), halves(second, axis), strict=True)
    joined: Array = xp.concat([half for pair in both for half in pair], axis=axis)
    return joined
