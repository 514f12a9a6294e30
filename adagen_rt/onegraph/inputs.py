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
) -> tuple[Arrays, Traced, Traced]:
    """Bring inputs into their range, and tell which samples ask for what there is not.

    Returns:
        The condition's rows, the seeds (batch,), and whether a sample's inputs are bad (batch,).
    """
    seeds, rows = inputs["seeds"], {}
    xp, faults = seeds.xp, [seeds < 0]
    for name, (low, high) in condition.ranges.items():
        given = inputs[name]
        axes = tuple(range(1, given.ndim))
        outside = (given < low) | (given > high)
        faults.append(xp.any(outside, axis=axes) if axes else outside)
        rows[name] = xp.clip(given, low, high)
    return rows, xp.clip(seeds, 0, None), reduce(or_, faults)
