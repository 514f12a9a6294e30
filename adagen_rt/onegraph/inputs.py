"""What goes into a model: conditions, seeds, and what else was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.condition import ConditionSpec
from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Shape, Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import symbolic
from adagen_rt.types import Arrays

#: What `failed` says of an input out of its range.
BAD_INPUT = -1


def make_inputs(
    xp: Namespace, condition: ConditionSpec, more: Mapping[str, str]
) -> dict[str, Traced]:
    """Make the inputs of a model: the condition's arrays, ``seeds``, and others (batch,).

    Args:
        xp: The namespace.
        condition: The engine's kind of condition.
        more: Dtypes of the others, by name.
    """
    asked = condition.asked_tensors.items()
    given: dict[str, tuple[Shape, str]] = {name: (row.shape, row.dtype) for name, row in asked}
    given |= {name: ((), dtype) for name, dtype in {"seeds": "int64", **more}.items()}
    return {
        name: make_input(xp, name, (Size(1), *shape), dtype)
        for name, (shape, dtype) in given.items()
    }


def make_input(xp: Namespace, name: str, shape: Shape, dtype: Any) -> Traced:
    """Make one input."""
    value = ir.val(name, ir.DataType.from_numpy(np.dtype(dtype)), symbolic(shape))
    return Traced(xp, shape, dtype, value=value)


def in_range(
    condition: ConditionSpec, inputs: Mapping[str, Traced]
) -> tuple[Arrays, dict[str, Traced], Traced]:
    """Bring inputs into their range, and tell which samples ask for what there is not.

    A model that is given other numbers of samples than of seeds ends with the host's error.

    Returns:
        The condition's rows, the other inputs (batch,), and whether a sample's are bad (batch,).
    """
    given, seeds = dict(inputs), inputs["seeds"]
    xp, faults = seeds.xp, [seeds < 0]
    given["seeds"] = xp.clip(seeds, 0, None)
    ranges: dict[str, tuple[float, float]] = {**condition.ranges, "fidelity": (0.0, 1.0)}
    for name, (low, high) in ranges.items():
        if name not in given:
            continue
        array = given[name]
        axes = tuple(range(1, array.ndim))
        # So asked that what is no number is outside too.
        outside = ~((array >= low) & (array <= high))
        faults.append(_one_each(xp.any(outside, axis=axes) if axes else outside))
        if name in condition.never_blank:
            faults.append(~xp.any(array > 0, axis=axes))
        given[name] = xp.clip(array, low, high)
    if "steps" in given:
        given["steps"] = _one_each(given["steps"])
    rows = {name: given.pop(name) for name in condition.ranges}
    return rows, given, reduce(or_, faults)


def _one_each(array: Traced) -> Traced:
    """Hold an array (n,) to one number a seed, since one of all would do for the operators.

    Not one of more axes: ONNX Runtime simplifies the sizes that it is given, and asks no more.
    """
    writer = array.xp.writer
    (value,) = writer.emit("Reshape", [array.value, writer.dims([Size(1)])], array.dtype)
    return Traced(array.xp, array.shape, array.dtype, value=value)
