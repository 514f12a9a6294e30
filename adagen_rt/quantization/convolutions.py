"""Convolutions in 8-bit integers.

The written graph is plain ONNX: a convolution between ``QuantizeLinear`` and
``DequantizeLinear``, which ONNX Runtime and OpenVINO turn into an integer convolution. Unlike a
product's rows, an image cannot have its own scales there. The scales of input and output are
therefore fixed, from the ranges of a few images that are generated during quantization. The input
has one scale, because the convolution sums its channels. The output has one scale per channel,
which costs nothing: weights and bias are scaled so that the convolution computes each channel in
units of its own rounding step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.quantization.errors import run_probes
from adagen_rt.quantization.weights import (
    MIN_SCALE,
    add_initializer,
    channel_scales,
    find_weight,
    store_integers,
    weight_kinds,
)
from adagen_rt.types import Arrays

OPS = ("Conv",)
#: Shares of its width by which a range is widened on both sides, because other images exceed it.
#: A single channel has fewer measured entries, and its range is widened more.
MARGIN, CHANNEL_MARGIN = 0.2, 0.3
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """Range of values, over a whole tensor () or over each channel (C,).

    Attributes:
        low: The smallest value.
        high: The largest value.
    """

    low: Floats
    high: Floats

    def steps(self) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Return the width of the 255 steps of the range, extended to 0, and the step of 0."""
        margin = np.float32(CHANNEL_MARGIN if self.low.ndim else MARGIN)
        more = margin * (self.high - self.low)
        # NumPy 1 would make a float64 of a float32 without axes and Python's 0.
        none = np.float32(0)
        low, high = np.minimum(self.low - more, none), np.maximum(self.high + more, none)
        step = np.maximum((high - low) / np.float32(255), np.float32(MIN_SCALE))
        return np.asarray(step), np.rint(-low / step).astype(np.uint8)


#: Ranges of a convolution's input and of its output's channels, by the name of its output.
Ranges = Mapping[str, tuple[Range, Range]]


def measure_ranges(path: Path, probes: Sequence[Arrays], runtime: OnnxRuntime) -> Ranges:
    """Measure the ranges around the convolutions of a graph that have weights.

    Args:
        path: The graph.
        probes: The graph's inputs.
        runtime: Backend that runs the graph.
    """
    model = ir.load(path)
    layers = [node for nodes in weight_kinds(model, OPS).values() for node in nodes]
    for node in layers:
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        _watch(model, source, f"{result.name}.in", [0, 1, 2, 3])
        _watch(model, result, f"{result.name}.out", [0, 2, 3])
    runs = run_probes(runtime.load_model(ir.to_proto(model), path.parent), probes)

    def found(name: str) -> Range:
        lows, highs = ([run[f"{name}.{end}"] for run in runs] for end in ("ReduceMin", "ReduceMax"))
        return Range(np.min(lows, axis=0), np.max(highs, axis=0))

    names = [str(node.outputs[0].name) for node in layers]
    return {name: (found(f"{name}.in"), found(f"{name}.out")) for name in names}


def _watch(model: ir.Model, value: ir.Value, name: str, axes: Sequence[int]) -> None:
    """Add outputs with the least and the largest entry of a value along some axes."""
    along = Builder(model, name).constant("axes", np.array(axes, np.int64))
    for op in ("ReduceMin", "ReduceMax"):
        node = ir.node(op, [value, along], attributes={"keepdims": 0})
        node.outputs[0].name = f"{name}.{op}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.append(node)
        model.graph.outputs.append(node.outputs[0])


def quantize_convolution(model: ir.Model, node: ir.Node, ranges: Ranges) -> None:
    """Make one convolution an integer convolution.

    Args:
        model: The graph.
        node: The convolution.
        ranges: Ranges of all convolutions.
    """
    source, weight, result = node.inputs[0], find_weight(node), node.outputs[0]
    assert source is not None
    assert weight.const_value is not None
    into, out = ranges[str(result.name)]
    (step, zero), (steps, zeros) = into.steps(), out.steps()
    scales = channel_scales(weight.const_value.numpy(), 0) / steps
    # In units of the products; it also moves each channel's 0 to its rounded position.
    bias = np.rint((_bias(node) / steps + zeros) / (step * scales))
    bias = bias.clip(-(2**31), 2**31 - 1).astype(np.int32)

    made = Builder(model, str(result.name))
    stored = store_integers(model, weight, 0)
    rounded = made.node("QuantizeLinear", source, "in", step, zero)
    given = [
        made.node("DequantizeLinear", rounded, "in", step, zero),
        made.node("DequantizeLinear", stored, "weight", scales),
        made.node("DequantizeLinear", made.constant("bias", bias), "bias", step * scales),
    ]
    product = made.add(ir.node("Conv", given, attributes=node.attributes))
    one, none = np.array(1, np.float32), np.array(0, np.uint8)
    rounded = made.node("QuantizeLinear", product, "product", one, none)
    made.node("DequantizeLinear", rounded, "out", steps, zeros, axis=1)
    ir.convenience.replace_nodes_and_values(
        model.graph, node, [node], made.nodes, [result], [made.nodes[-1].outputs[0]]
    )


def _bias(node: ir.Node) -> Floats | float:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return 0.0
    value = node.inputs[2].const_value
    assert value is not None
    bias: Floats = value.numpy()
    return bias


class Builder:
    """Builds nodes that replace one node, and their constants.

    Args:
        model: The graph that gets the constants.
        name: Prefix of the constants' names.
    """

    def __init__(self, model: ir.Model, name: str) -> None:
        self.nodes: list[ir.Node] = []
        self._model, self._name = model, name

    def constant(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """Add a constant."""
        dtype = ir.DataType.from_numpy(array.dtype)
        make = partial(ir.tensor, array)
        return add_initializer(self._model, f"{self._name}.{name}", dtype, array.shape, make)

    def node(
        self,
        op: str,
        value: ir.Value,
        name: str,
        step: npt.NDArray[Any],
        zero: npt.NDArray[Any] | None = None,
        axis: int = 0,
    ) -> ir.Value:
        """Add ``QuantizeLinear`` or ``DequantizeLinear``, with the constants of a name."""
        inputs = [value, self.constant(f"{name}.step", step)]
        if zero is not None:
            inputs.append(self.constant(f"{name}.zero", zero))
        axes = {"axis": axis} if step.ndim else {}
        dtype = ir.DataType.UINT8 if op == "QuantizeLinear" else ir.DataType.FLOAT
        return self.add(ir.node(op, inputs, attributes=axes), dtype)

    def add(self, node: ir.Node, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
        """Add a node; return its output."""
        node.outputs[0].type = ir.TensorType(dtype)
        self.nodes.append(node)
        return node.outputs[0]
