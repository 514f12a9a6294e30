"""Null rows of a loop's first step that are known when the model is written.

Before MaskGIT's first step all tokens are masked: its null rows are the same for every image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from adagen_rt.condition import take_rows
from adagen_rt.onegraph.indexing import LAST
from adagen_rt.onegraph.size import Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.rule import State
from adagen_rt.types import Arrays


def known_null(loop: Loop, state: State) -> Arrays | None:
    """Compute the backbone's outputs for the null rows of a first step, one row for all.

    Returns:
        Known arrays (batch, ...) by name; None where the rows are not known, or there are none.
    """
    if not state.condition.paired or loop.rule.row_axes:
        return None
    rows = take_rows(loop.rule.observe(state), slice(Size(1), None))
    return loop.backbone(rows) if all(array.known is not None for array in rows.values()) else None


def spared(loop: Loop, null: Arrays, first: Traced) -> Loop:
    """Let a loop's step compute the conditional rows alone if it is the first one.

    Args:
        loop: The loop.
        null: What the backbone gives of null rows then.
        first: Whether it is the first step () bool.
    """
    run = loop.backbone

    def fewer(inputs: Arrays) -> Arrays:
        xp = first.xp
        now = xp.reshape(xp.astype(first, np.int64), (1,)).value
        (batch,) = (xp.writer.dims([Size(1)]),)
        known = xp.writer.emit("Mul", [batch, now], np.int64)[0]
        rows = xp.writer.emit("Sub", [xp.writer.dims([Size(2)]), known], np.int64)[0]
        given = {name: _begin(array, rows) for name, array in inputs.items()}
        return {name: _filled(array, null[name], known) for name, array in run(given).items()}

    return replace(loop, backbone=fewer)


def _begin(array: Traced, rows: Any) -> Traced:
    """Cut an array to so many rows; its shape is still said to be the whole one."""
    writer = array.xp.writer
    zero = writer.dims([0])
    (value,) = writer.emit("Slice", [array.value, zero, rows, zero], array.dtype)
    return Traced(array.xp, array.shape, array.dtype, value=value)


def _filled(output: Traced, null: Traced, known: Any) -> Traced:
    """Put known null rows behind those that were computed."""
    xp, rest, writer = output.xp, null.shape[1:], output.xp.writer
    half, zero, end = writer.dims([Size(1)]), writer.dims([0]), writer.dims([LAST])
    (given,) = writer.emit("Slice", [output.value, zero, half, zero], output.dtype)
    (late,) = writer.emit("Slice", [output.value, half, end, zero], output.dtype)
    (shape,) = writer.emit("Concat", [known, writer.dims(rest)], np.int64, {"axis": 0})
    (early,) = writer.emit("Expand", [null.narrow, shape], output.dtype)
    (both,) = writer.emit("Concat", [early, late], output.dtype, {"axis": 0})
    halves = [Traced(xp, null.shape, output.dtype, value=value) for value in (given, both)]
    return xp.concat(halves)
