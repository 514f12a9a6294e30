"""Weights of matrix products as 8-bit integers, one at a time in memory.

What is written is plain ONNX: ``DequantizeLinear`` of int8 weights with a scale a column, then
the product. It says what is stored; how to multiply is the backend's affair. Both that run it
here (``backends/onnxruntime.py``, ``backends/openvino.py``) quantise each row of the other factor
when they meet it, so that a sample does not depend on what else is in its batch.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adagen_rt.precision import drop_unused

#: Smaller weights are not worth an integer product.
MIN_ENTRIES = 1 << 12
#: Scales below this would be lost in float32's subnormal numbers.
MIN_SCALE = 1e-30


def weight_kinds(model: ir.Model) -> dict[str, list[ir.Node]]:
    """Products whose second factor is a weight, by kind of layer.

    A kind is the weight's name without the numbers of its blocks, so that the layers which do
    the same in every block are one kind: ``blocks.*.mlp.fc1``.
    """
    kinds = defaultdict(list)
    for node in model.graph:
        if node.op_type in ("MatMul", "Gemm") and _entries(node) >= MIN_ENTRIES:
            kinds[_kind(str(_weight(node).name))].append(node)
    return dict(kinds)


def _kind(name: str) -> str:
    stem = re.sub(r"^(module\.)+", "", name.split(".weight")[0])
    return re.sub(r"\.\d+(?=\.|$)", ".*", stem)


def _weight(node: ir.Node) -> ir.Value:
    """A product's second factor."""
    value = node.inputs[1]
    assert value is not None  # neither MatMul nor Gemm can do without
    return value


def _entries(node: ir.Node) -> int:
    weight = _weight(node).const_value
    if weight is None or len(weight.shape) != 2 or not _plain(node):
        return 0
    return int(weight.size)


def _plain(node: ir.Node) -> bool:
    """Whether a Gemm is what a linear layer is exported as."""
    attributes = node.attributes
    scaled = any(attributes.get_float(name, 1.0) != 1.0 for name in ("alpha", "beta"))
    return not scaled and not attributes.get_int("transA", 0)


def count_entries(nodes: Collection[ir.Node]) -> int:
    """Weights of products."""
    return sum(_entries(node) for node in nodes)


def quantize_products(model: ir.Model, kinds: Collection[str]) -> None:
    """Store the weights of these kinds as integers."""
    chosen = [
        node for kind, nodes in weight_kinds(model).items() if kind in kinds for node in nodes
    ]
    for node in chosen:
        _quantize(model, node)
    drop_unused(model)


def _quantize(model: ir.Model, node: ir.Node) -> None:
    """Put integers in the place of one product's weight; a Gemm becomes a product and a sum."""
    source = _weight(node)
    turned = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    stored, scales = _stored(model, source, turned)
    weight = ir.node("DequantizeLinear", [stored, scales], attributes={"axis": 1})
    product = ir.node("MatMul", [node.inputs[0], weight.outputs[0]])
    new = [weight, product]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        new.append(ir.node("Add", [product.outputs[0], node.inputs[2]]))
    for one in new:
        one.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_nodes_and_values(
        model.graph, node, [node], new, [node.outputs[0]], [new[-1].outputs[0]]
    )


def _stored(model: ir.Model, source: ir.Value, turned: bool) -> tuple[ir.Value, ir.Value]:
    """Integers (inputs, outputs) and their scales (outputs,), shared by all who use a weight."""
    tensor = source.const_value
    assert tensor is not None
    shape = [int(size) for size in tensor.shape.numpy()]
    inputs, outputs = reversed(shape) if turned else shape

    def weight() -> npt.NDArray[np.float32]:
        array: npt.NDArray[np.float32] = tensor.numpy()
        return array.T if turned else array

    def integers() -> ir.TensorProtocol:
        array = weight()
        rounded = np.rint(array / _scales(array)).astype(np.int8)
        return ir.tensor(np.ascontiguousarray(rounded))

    return (
        _initializer(model, f"{source.name}.int8", ir.DataType.INT8, (inputs, outputs), integers),
        _initializer(
            model,
            f"{source.name}.scale",
            ir.DataType.FLOAT,
            (outputs,),
            lambda: ir.tensor(_scales(weight())),
        ),
    )


def _scales(weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What 1 stands for in each column, whose largest entry is 127."""
    scales: npt.NDArray[np.float32] = np.abs(weight).max(axis=0) / np.float32(127)
    return scales.clip(min=np.float32(MIN_SCALE))


def _initializer(
    model: ir.Model, name: str, dtype: ir.DataType, shape: tuple[int, ...], make: object
) -> ir.Value:
    initializers = model.graph.initializers
    if name not in initializers:
        tensor = ir.LazyTensor(make, dtype=dtype, shape=ir.Shape(shape))  # type: ignore[arg-type]
        value = ir.Value(
            name=name, type=ir.TensorType(dtype), shape=tensor.shape, const_value=tensor
        )
        model.graph.register_initializer(value)
    return initializers[name]
