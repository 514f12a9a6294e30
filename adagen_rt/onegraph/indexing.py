"""Indexing of traced arrays: slices, single places and new axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from adagen_rt.onegraph.size import Dim, Size
from adagen_rt.onegraph.traced import Traced

#: No array has so many rows.
LAST = np.iinfo(np.int64).max


def get(array: Traced, key: Any) -> Traced:
    """Return ``array[key]`` of integers, slices, ``None`` and one ``...``."""
    keys = _spread(key if isinstance(key, tuple) else (key,), array.ndim)
    result, axis = array, 0
    for one in keys:
        if one is None:
            result = array.xp.expand_dims(result, axis=axis)
            axis += 1
        elif isinstance(one, slice):
            result = _slice(result, axis, one)
            axis += 1
        else:
            result = _place(result, axis, int(one))
    return result


def set_rows(array: Traced, key: Any, new: Traced) -> None:
    """Replace rows of an array that consists of parts: ``array[a:b, ...] = new``."""
    first = key[0] if isinstance(key, tuple) else key
    start, stop, _ = _bounds(first, array.shape[0])
    assert array.known is not None or array.parts
    before, after = _slice(array, 0, slice(0, start)), _slice(array, 0, slice(stop, None))
    parts = [part for part in (before, new, after) if part.shape[0] != 0]
    array.parts = [piece for part in parts for piece in (part.parts or [part])]
    array.known = None


def _spread(keys: tuple[Any, ...], ndim: int) -> list[Any]:
    """Put slices in the place of ``...``."""
    used = sum(one is not None and one is not ... for one in keys)
    rest = [slice(None)] * (ndim - used)
    if ... not in [one for one in keys if one is None or one is ...]:
        return [*keys, *rest]
    place = next(i for i, one in enumerate(keys) if one is ...)
    return [*keys[:place], *rest, *keys[place + 1 :]]


def _bounds(key: slice, dim: Dim) -> tuple[Dim, Dim, int]:
    """Return start, stop and step, the first two from the front."""
    step = 1 if key.step is None else int(key.step)
    start, stop = (0 if key.start is None else key.start), (dim if key.stop is None else key.stop)
    start, stop = (dim + at if isinstance(at, int) and at < 0 else at for at in (start, stop))
    if isinstance(dim, int) and isinstance(start, int) and isinstance(stop, int):
        start, stop = min(start, dim), min(stop, dim)
    return start, stop, step


def _slice(array: Traced, axis: int, key: slice) -> Traced:
    dim = array.shape[axis]
    start, stop, step = _bounds(key, dim)
    if (start, stop, step) == (0, dim, 1):
        return array
    if axis == 0 and array.parts and step == 1:
        found = _parts(array, start, stop)
        if found is not None:
            return found
    size = stop - start
    if step != 1:
        size = len(range(int(start), int(stop), step))
    shape = (*array.shape[:axis], size, *array.shape[axis + 1 :])
    if array.known is not None:
        known = array.known
        if known.shape[axis] != 1 or size == 0:
            rows = slice(0, 0) if size == 0 else slice(int(start), int(stop), step)
            before = (slice(None),) * axis
            known = known[before + (rows,)]  # noqa: RUF005 (Python 3.10 unpacks none in an index)
        return Traced(array.xp, shape, array.dtype, known=known)
    writer = array.xp.writer
    end = [LAST] if stop == dim else [stop]
    inputs = [array.value, *(writer.dims(d) for d in ([start], end, [axis], [step]))]
    (value,) = writer.emit("Slice", inputs, array.dtype)
    return Traced(array.xp, shape, array.dtype, value=value)


def _parts(array: Traced, start: Dim, stop: Dim) -> Traced | None:
    """Return the rows from ``start`` to ``stop`` if they are whole parts."""
    chosen, at, inside = [], 0, False
    for part in array.parts:
        inside = inside or at == start
        if at == stop:
            break
        if inside:
            chosen.append(part)
        at = at + part.shape[0]
    if not chosen or at != stop:
        return None
    if len(chosen) == 1:
        return chosen[0]
    return array.xp.concat(chosen)


def _place(array: Traced, axis: int, at: int) -> Traced:
    shape = (*array.shape[:axis], *array.shape[axis + 1 :])
    if array.known is not None:
        known = np.take(array.known, 0 if array.known.shape[axis] == 1 else at, axis=axis)
        return Traced(array.xp, shape, array.dtype, known=known)
    dim = array.shape[axis]
    assert not isinstance(dim, Size) or at == 0
    writer = array.xp.writer
    index = writer.constant(np.array(at, np.int64))
    (value,) = writer.emit("Gather", [array.value, index], array.dtype, {"axis": axis})
    return Traced(array.xp, shape, array.dtype, value=value)
