"""Which weights a graph has, by kind of layer, and how they are stored as 8-bit integers."""

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
#: Axes of a weight, by type of layer; those of a convolution are of images.
_RANKS = {"MatMul": 2, "Gemm": 2, "Conv": 4}


def weight_kinds(model: ir.Model, ops: Collection[str]) -> dict[str, list[ir.Node]]:
    """Layers of some types whose second input is a weight, by kind.

    A kind is the weight's name without the numbers of its blocks, so that the layers which do
    the same in every block are one kind: ``blocks.*.mlp.fc1``.

    Args:
        model: The graph.
        ops: Of ``MatMul``, ``Gemm`` and ``Conv``.
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
    """A layer's second input."""
    value = node.inputs[1]
    assert value is not None  # no layer can do without
    return value


def _entries(node: ir.Node) -> int:
    weight = find_weight(node).const_value
    if weight is None or len(weight.shape) != _RANKS[node.op_type] or not _plain(node):
        return 0
    return int(weight.size)


def _plain(node: ir.Node) -> bool:
    """Whether a Gemm is what a linear layer is exported as; all else is."""
    attributes = node.attributes
    scaled = any(attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return not scaled and not attributes.get_int("transA", 0)


def count_entries(nodes: Collection[ir.Node]) -> int:
    """Weights of layers."""
    return sum(_entries(node) for node in nodes)


def store_integers(
    model: ir.Model, source: ir.Value, channel: int, turned: bool = False
) -> ir.Value:
    """Integers of a weight, shared by all who use the weight.

    Args:
        model: The graph.
        source: The weight.
        channel: Axis of what is stored that has a scale for each of its entries, the largest of
            which is 127.
        turned: Store a matrix the other way round.
    """
    tensor = source.const_value
    assert tensor is not None
    shape = [int(size) for size in tensor.shape.numpy()][:: -1 if turned else 1]

    def integers() -> ir.TensorProtocol:
        array = _oriented(tensor, turned)
        wide = [-1 if axis == channel else 1 for axis in range(array.ndim)]
        rounded = np.rint(array / channel_scales(array, channel).reshape(wide)).astype(np.int8)
        return ir.tensor(np.ascontiguousarray(rounded))

    return add_initializer(model, f"{source.name}.int8", ir.DataType.INT8, shape, integers)


def store_scales(model: ir.Model, source: ir.Value, channel: int, turned: bool = False) -> ir.Value:
    """Scales of a weight's integers; arguments as for `store_integers`."""
    tensor = source.const_value
    assert tensor is not None
    shape = [int(size) for size in tensor.shape.numpy()][:: -1 if turned else 1]

    def scales() -> ir.TensorProtocol:
        return ir.tensor(channel_scales(_oriented(tensor, turned), channel))

    name = f"{source.name}.scale"
    return add_initializer(model, name, ir.DataType.FLOAT, [shape[channel]], scales)


def _oriented(tensor: ir.TensorProtocol, turned: bool) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.numpy()
    return array.T if turned else array


def channel_scales(weight: npt.NDArray[np.float32], channel: int) -> npt.NDArray[np.float32]:
    """What 1 stands for in each channel (channels,).

    Of a channel that is next to nothing beside the others, not less than 1e-4 of theirs: a bias is
    counted in steps of it, and they have to fit into 32 bits.
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
    """A constant of the graph, computed when it is written; the one that has the name already."""
    initializers = model.graph.initializers
    if name not in initializers:
        tensor = ir.LazyTensor(make, dtype=dtype, shape=ir.Shape(shape))
        value = ir.Value(
            name=name, type=ir.TensorType(dtype), shape=tensor.shape, const_value=tensor
        )
        model.graph.register_initializer(value)
    return initializers[name]
