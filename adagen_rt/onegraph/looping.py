"""A loop of the model: a body that is written once, and arrays that it hands on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer, symbolic

#: From the number of the iteration () int64 and the arrays: whether to go on, and the new arrays.
Body = Callable[[Traced, dict[str, Traced]], tuple[Traced, dict[str, Traced]]]


def write_loop(
    xp: Namespace, trips: int, carried: dict[str, Traced], body: Body
) -> dict[str, Traced]:
    """Write a loop.

    Args:
        xp: The namespace.
        trips: Largest number of iterations.
        carried: Arrays before the first iteration, by name.
        body: Writes an iteration.

    Returns:
        The arrays after the last iteration.
    """
    writer = xp.writer
    first = [array.value for array in carried.values()]
    number, running = ir.val("iteration", ir.DataType.INT64, []), _flag(writer)
    inside = {name: _argument(writer, name, array) for name, array in carried.items()}
    inputs = [number, running, *(array.value for array in inside.values())]
    with writer.body() as scope:
        goes_on, after = body(Traced(xp, (), np.int64, value=number), dict(inside))
        outputs = [
            writer.output(writer.name("next"), array.value, array.shape)
            for array in (goes_on, *(after[name] for name in carried))
        ]
    graph = ir.Graph(inputs, outputs, nodes=scope.nodes, name=writer.name("body"))
    start = [writer.constant(np.array(trips, np.int64)), writer.constant(np.array(True)), *first]
    node = ir.node("Loop", start, {"body": graph}, num_outputs=len(carried))
    node.name = writer.name("Loop")
    writer.add(node)
    pairs = zip(carried.items(), node.outputs, strict=True)
    return {name: _result(writer, name, array, value) for (name, array), value in pairs}


def _flag(writer: Writer) -> ir.Value:
    return ir.val(writer.name("running"), ir.DataType.BOOL, [])


def _argument(writer: Writer, name: str, array: Traced) -> Traced:
    kind = ir.DataType.from_numpy(array.dtype)
    value = ir.val(writer.name(name), kind, symbolic(array.shape))
    return Traced(array.xp, array.shape, array.dtype, value=value)


def _result(writer: Writer, name: str, array: Traced, value: ir.Value) -> Traced:
    value.name, value.dtype = writer.name(name), ir.DataType.from_numpy(array.dtype)
    return Traced(array.xp, array.shape, array.dtype, value=value)
