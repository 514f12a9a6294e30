"""Weights of a graph by kind of layer, and their storage as 8-bit integers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

#: Smaller weights are not worth an integer product.
MIN_ENTRIES = 1 << 12
#: Scales below this would be lost in float32's subnormal numbers.
MIN_SCALE = 1e-30
#: A product's input stays float32 where its largest weight is so many times the median input's: in
#: integers, the others would share the scale of that weight and vanish in its rounding.
OUTLIER = 8.0
#: Largest share of such inputs; where more stick out, large and small weights are simply mixed.
MAX_OUTLIERS = 1 / 32
#: Axes of a weight, by type of layer; those of a convolution are of images.
_RANKS = {"MatMul": 2, "Gemm": 2, "Conv": 4}


def weight_kinds(model: ir.Model, ops: Collection[str]) -> dict[str, list[ir.Node]]:
    """List the layers of some types whose second input is a weight, by kind.

    A kind is the weight's name without the numbers of its blocks, so that the layers which do
    the same in every block are one kind: ``blocks.*.mlp.fc1``.

    Args:
        model: The graph.
        ops: Operators to list, among ``MatMul``, ``Gemm`` and ``Conv``.
    """
    kinds = defaultdict(list)
    for node in model.graph:
        if node.op_type in ops and _entries(node) >= MIN_ENTRIES:
            kinds[_kind(str(find_weight(node).name))].append(node)
    return dict(kinds)


def _kind(name: str) -> str:
    stem = re.sub(r"^(module\.)+", "", name.split(".weight")[0])
    return re.sub(r"\.\d+(?=\.|$)", ".*", stem)


def find_weight(node: ir.Node) -> ir.Value:
    """Return a layer's second input."""
    value = node.inputs[1]
    assert value is not None  # every layer has one
    return value


def _entries(node: ir.Node) -> int:
    weight = find_weight(node).const_value
    if weight is None or len(weight.shape) != _RANKS[node.op_type] or not _plain(node):
        return 0
    return int(weight.size)


def _plain(node: ir.Node) -> bool:
    """Tell whether a node is no Gemm, or a Gemm as a linear layer is exported."""
    attributes = node.attributes
    scaled = any(attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return not scaled and not attributes.get_int("transA", 0)


def count_entries(nodes: Collection[ir.Node]) -> int:
    """Count the weights of layers."""
    return sum(_entries(node) for node in nodes)


def find_outliers(source: ir.Value, turned: bool = False) -> npt.NDArray[np.int64]:
    """Find the inputs of a product whose weights are far larger than those of the others.

    Args:
        source: The weight.
        turned: Whether the matrix is stored transposed.
    """
    assert source.const_value is not None
    peaks = np.abs(_oriented(source.const_value, turned)).max(axis=1)
    found = np.flatnonzero(peaks > OUTLIER * np.median(peaks))
    return found if len(found) <= MAX_OUTLIERS * len(peaks) else found[:0]


def store_floats(
    model: ir.Model, source: ir.Value, inputs: npt.NDArray[np.int64], turned: bool = False
) -> ir.Value:
    """Store a weight's rows of some inputs as they are, once; arguments as for `store_integers`."""
    tensor = source.const_value
    assert tensor is not None
    shape = [len(inputs), _shape(tensor, turned)[1]]

    def floats() -> ir.TensorProtocol:
        return ir.tensor(np.ascontiguousarray(_oriented(tensor, turned)[inputs]))

    return add_initializer(model, f"{source.name}.float", ir.DataType.FLOAT, shape, floats)


def store_integers(
    model: ir.Model,
    source: ir.Value,
    channel: int,
    turned: bool = False,
    without: npt.NDArray[np.int64] | None = None,
) -> ir.Value:
    """Store a weight's integers once, shared by all of its readers.

    Args:
        model: The graph.
        source: The weight.
        channel: Axis of the stored weight with a scale per entry; the largest integer of each
            entry is 127.
        turned: Whether to store a matrix transposed.
        without: Inputs of a matrix whose weights are 0 here.
    """
    tensor = source.const_value
    assert tensor is not None
    shape = _shape(tensor, turned)

    def integers() -> ir.TensorProtocol:
        array = _without(_oriented(tensor, turned), without)
        wide = [-1 if axis == channel else 1 for axis in range(array.ndim)]
        rounded = np.rint(array / channel_scales(array, channel).reshape(wide)).astype(np.int8)
        return ir.tensor(np.ascontiguousarray(rounded))

    return add_initializer(model, f"{source.name}.int8", ir.DataType.INT8, shape, integers)


def store_scales(
    model: ir.Model,
    source: ir.Value,
    channel: int,
    turned: bool = False,
    without: npt.NDArray[np.int64] | None = None,
) -> ir.Value:
    """Store the scales of a weight's integers; arguments as for `store_integers`."""
    tensor = source.const_value
    assert tensor is not None
    shape = _shape(tensor, turned)

    def scales() -> ir.TensorProtocol:
        return ir.tensor(channel_scales(_without(_oriented(tensor, turned), without), channel))

    name = f"{source.name}.scale"
    return add_initializer(model, name, ir.DataType.FLOAT, [shape[channel]], scales)


def _oriented(tensor: ir.TensorProtocol, turned: bool) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.numpy()
    return array.T if turned else array


def _shape(tensor: ir.TensorProtocol, turned: bool) -> list[int]:
    return [int(size) for size in tensor.shape.numpy()][:: -1 if turned else 1]


def _without(
    array: npt.NDArray[np.float32], inputs: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.float32]:
    """Copy a matrix with zeros for some inputs, where there are any."""
    if inputs is None or not len(inputs):
        return array
    rest: npt.NDArray[np.float32] = array.copy()
    rest[inputs] = 0
    return rest


def channel_scales(weight: npt.NDArray[np.float32], channel: int) -> npt.NDArray[np.float32]:
    """Compute the scale of each channel, the value of the integer 1 (channels,).

    A channel with tiny weights gets at least 1e-4 of the largest scale. A bias is counted in
    units of the scale, and has to fit into 32 bits.
    """
    others = tuple(axis for axis in range(weight.ndim) if axis != channel)
    scales: npt.NDArray[np.float32] = np.abs(weight).max(axis=others) / np.float32(127)
    return scales.clip(min=max(scales.max() * np.float32(1e-4), np.float32(MIN_SCALE)))


def add_initializer(
    model: ir.Model,
    name: str,
    dtype: ir.DataType,
    shape: Sequence[int],
    make: Callable[[], ir.TensorProtocol],
) -> ir.Value:
    """Add a constant, computed when the file is written, or return the one of the same name."""
    initializers = model.graph.initializers
    if name not in initializers:
        tensor = ir.LazyTensor(make, dtype=dtype, shape=ir.Shape(shape))
        value = ir.Value(
            name=name, type=ir.TensorType(dtype), shape=tensor.shape, const_value=tensor
        )
        model.graph.register_initializer(value)
    return initializers[name]
