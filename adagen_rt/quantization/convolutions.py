"""Convolutions in 8-bit integers.

What is written is plain ONNX: a convolution between ``QuantizeLinear`` and ``DequantizeLinear``,
which ONNX Runtime and OpenVINO turn into one of integers. Unlike a product's rows, an image cannot
have scales of its own there, so those of what goes in and comes out are fixed: from the ranges of
images that are made when the engine is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from adagen_rt.backends.base import Arrays
from adagen_rt.backends.onnxruntime import OnnxRuntime
from adagen_rt.quantization.errors import run_probes
from adagen_rt.quantization.weights import (
    MIN_SCALE,
    add_initializer,
    channel_scales,
    find_weight,
    store_integers,
    weight_kinds,
)

OPS = ("Conv",)
#: Least and largest entry of values, by name.
Ranges = Mapping[str, tuple[float, float]]
#: By so much of its width a range is widened on both sides: other images go further.
MARGIN = 0.05


def measure_ranges(path: Path, probes: Sequence[Arrays], runtime: OnnxRuntime) -> Ranges:
    """Ranges of what goes into and comes out of the convolutions of a graph that have weights.

    Args:
        path: The graph.
        probes: What it is given.
        runtime: Who runs it.
    """
    model = ir.load(path)
    nodes = [node for nodes in weight_kinds(model, OPS).values() for node in nodes]
    values = {
        str(value.name): value
        for node in nodes
        for value in (node.inputs[0], node.outputs[0])
        if value is not None
    }
    for value in values.values():
        for op in ("ReduceMin", "ReduceMax"):
            node = ir.node(op, [value], attributes={"keepdims": 0})
            node.outputs[0].name = f"{value.name}.{op}"
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            model.graph.append(node)
            model.graph.outputs.append(node.outputs[0])
    runs = run_probes(runtime.load_model(ir.to_proto(model), path.parent), probes)
    return {
        name: (
            min(float(run[f"{name}.ReduceMin"]) for run in runs),
            max(float(run[f"{name}.ReduceMax"]) for run in runs),
        )
        for name in values
    }


def quantize_convolution(model: ir.Model, node: ir.Node, ranges: Ranges) -> None:
    """Make one convolution one of integers.

    Args:
        model: The graph.
        node: The convolution.
        ranges: Of what goes in and comes out, among others.
    """
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    scale = _scale(ranges[str(source.name)])
    into = _rounded(model, source, str(source.name), ranges)
    stored, scales = store_integers(model, find_weight(node), 0)
    weight = ir.node("DequantizeLinear", [stored, scales], attributes={"axis": 0})
    new, inputs = [*into, weight], [into[-1].outputs[0], weight.outputs[0]]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        bias = _bias(model, node, scale)
        new.append(bias)
        inputs.append(bias.outputs[0])
    convolution = ir.node("Conv", inputs, attributes=node.attributes)
    out = _rounded(model, convolution.outputs[0], str(result.name), ranges)
    new += [convolution, *out]
    for one in new:
        one.outputs[0].type = one.outputs[0].type or ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_nodes_and_values(
        model.graph, node, [node], new, [result], [out[-1].outputs[0]]
    )


def _scale(span: tuple[float, float]) -> np.float32:
    """What 1 stands for where a range, widened and with 0 in it, has 255 steps."""
    low, high = _widened(span)
    step = np.float32((high - low) / 255)
    return max(step, np.float32(MIN_SCALE))


def _widened(span: tuple[float, float]) -> tuple[float, float]:
    low, high = span
    more = MARGIN * (high - low)
    return min(low - more, 0.0), max(high + more, 0.0)


def _rounded(model: ir.Model, value: ir.Value, name: str, ranges: Ranges) -> list[ir.Node]:
    """Round a value, whose range has the name, to what fits into 8 bits."""
    span = ranges[name]
    scale, zero = _scale(span), np.uint8(np.rint(-_widened(span)[0] / _scale(span)))
    how = [
        add_initializer(
            model, f"{name}.step", ir.DataType.FLOAT, (), lambda: ir.tensor(np.array(scale))
        ),
        add_initializer(
            model, f"{name}.zero", ir.DataType.UINT8, (), lambda: ir.tensor(np.array(zero))
        ),
    ]
    there = ir.node("QuantizeLinear", [value, *how])
    there.outputs[0].type = ir.TensorType(ir.DataType.UINT8)
    return [there, ir.node("DequantizeLinear", [there.outputs[0], *how])]


def _bias(model: ir.Model, node: ir.Node, scale: np.float32) -> ir.Node:
    """The bias, in the steps of the products of what goes in and the weights."""
    bias, weight = node.inputs[2], find_weight(node)
    assert bias is not None
    assert bias.const_value is not None
    assert weight.const_value is not None
    steps = scale * channel_scales(weight.const_value.numpy(), 0)
    integers = np.rint(bias.const_value.numpy() / steps).astype(np.int32)
    name, shape = node.outputs[0].name, integers.shape
    stored = add_initializer(
        model, f"{name}.bias.int32", ir.DataType.INT32, shape, lambda: ir.tensor(integers)
    )
    scales = add_initializer(
        model, f"{name}.bias.scale", ir.DataType.FLOAT, shape, lambda: ir.tensor(steps)
    )
    return ir.node("DequantizeLinear", [stored, scales], attributes={"axis": 0})
