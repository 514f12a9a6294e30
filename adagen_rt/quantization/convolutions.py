"""Convolutions in 8-bit integers.

What is written is plain ONNX: a convolution between ``QuantizeLinear`` and ``DequantizeLinear``,
which ONNX Runtime and OpenVINO turn into one of integers. Unlike a product's rows, an image cannot
have scales of its own there, so those of what goes in and comes out are fixed: from the ranges of
images that are made when the engine is. What goes in has one scale, because its channels are
summed; what comes out has one a channel, which costs nothing: weights and bias are scaled so that
the convolution gives each channel in the very steps that it is rounded to.
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
#: By so much of its width a range is widened on both sides: other images go further, and in a
#: single channel, of which fewer entries were seen, further still.
MARGIN, CHANNEL_MARGIN = 0.2, 0.3
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Range:
    """Where values are, of everything () or of each channel (C,).

    Attributes:
        low: The least.
        high: The largest.
    """

    low: Floats
    high: Floats

    def steps(self) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Width of the 255 steps of the range, widened and with 0 in it, and which of them is 0."""
        margin = np.float32(CHANNEL_MARGIN if self.low.ndim else MARGIN)
        more = margin * (self.high - self.low)
        low, high = np.minimum(self.low - more, 0), np.maximum(self.high + more, 0)
        step = np.maximum((high - low) / np.float32(255), np.float32(MIN_SCALE))
        return np.asarray(step), np.rint(-low / step).astype(np.uint8)


#: Of what goes into a convolution and of the channels that come out, by the name of its output.
Ranges = Mapping[str, tuple[Range, Range]]


def measure_ranges(path: Path, probes: Sequence[Arrays], runtime: OnnxRuntime) -> Ranges:
    """Ranges around the convolutions of a graph that have weights.

    Args:
        path: The graph.
        probes: What it is given.
        runtime: Who runs it.
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
    """Let the graph give the least and the largest entry of a value along some axes."""
    along = Builder(model, name).constant("axes", np.array(axes, np.int64))
    for op in ("ReduceMin", "ReduceMax"):
        node = ir.node(op, [value, along], attributes={"keepdims": 0})
        node.outputs[0].name = f"{name}.{op}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.append(node)
        model.graph.outputs.append(node.outputs[0])


def quantize_convolution(model: ir.Model, node: ir.Node, ranges: Ranges) -> None:
    """Make one convolution one of integers.

    Args:
        model: The graph.
        node: The convolution.
        ranges: Of what goes in and comes out, among others.
    """
    source, weight, result = node.inputs[0], find_weight(node), node.outputs[0]
    assert source is not None
    assert weight.const_value is not None
    into, out = ranges[str(result.name)]
    (step, zero), (steps, zeros) = into.steps(), out.steps()
    scales = channel_scales(weight.const_value.numpy(), 0) / steps
    # Counted in the steps of the products; it moves each channel's 0 to where it is rounded to.
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
    """Nodes in the place of one, and their constants.

    Args:
        model: Gets the constants.
        name: What their names begin with.
    """

    def __init__(self, model: ir.Model, name: str) -> None:
        self.nodes: list[ir.Node] = []
        self._model, self._name = model, name

    def constant(self, name: str, array: npt.NDArray[Any]) -> ir.Value:
        """A constant."""
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
        """``QuantizeLinear`` or ``DequantizeLinear``, with the constants of a name."""
        inputs = [value, self.constant(f"{name}.step", step)]
        if zero is not None:
            inputs.append(self.constant(f"{name}.zero", zero))
        axes = {"axis": axis} if step.ndim else {}
        dtype = ir.DataType.UINT8 if op == "QuantizeLinear" else ir.DataType.FLOAT
        return self.add(ir.node(op, inputs, attributes=axes), dtype)

    def add(self, node: ir.Node, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.Value:
        """One more node; its output."""
        node.outputs[0].type = ir.TensorType(dtype)
        self.nodes.append(node)
        return node.outputs[0]
