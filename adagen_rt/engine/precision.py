"""Graphs in half precision, rewritten with at most one weight in memory at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

#: Weights above this go to a file of their own, which a runtime maps into memory. It would hold a
#: protobuf file in memory several times over, and such a file cannot exceed 2 GB.
INLINE_BYTES = 1 << 26

#: Operators with nearly all the arithmetic and all the large weights.
PRODUCTS = ("MatMul", "Gemm", "Conv")

#: The first opset whose convolutions take bfloat16; in older ones they stay float32.
BFLOAT16_CONV = 22

#: Half precisions by the names that manifests use.
HALF = {"float16": ir.DataType.FLOAT16, "bfloat16": ir.DataType.BFLOAT16}


def convert_file(source: Path, target: Path, dtype: str) -> None:
    """Write a float32 graph's twin in half precision.

    Args:
        source: An ONNX file.
        target: Path of its twin; large weights go beside it.
        dtype: A key of `HALF`.
    """
    model = ir.load(source)
    convert_products(model, HALF[dtype])
    fold_weights(model)
    save_graph(model, target)


def convert_products(model: ir.Model, dtype: ir.DataType) -> None:
    """Run the matrix products and convolutions in half precision.

    Adaptive norms, gates, the residual stream, softmax and the logits stay float32,
    where half precision overflows or loses digits that the sampler depends on.
    """
    old = dtype == ir.DataType.BFLOAT16 and model.graph.opset_imports.get("", 1) < BFLOAT16_CONV
    products = [name for name in PRODUCTS if not (old and name == "Conv")]
    for node in list(model.graph):
        if node.op_type in products:
            # An optional input that is left out stays out.
            inputs = [None if value is None else _cast(value, dtype) for value in node.inputs]
            product = ir.node(
                node.op_type,
                [None if cast is None else cast.outputs[0] for cast in inputs],
                attributes=node.attributes,
            )
            _typed(product.outputs[0], node.outputs[0], dtype)
            back = _cast(product.outputs[0], ir.DataType.FLOAT)
            ir.convenience.replace_nodes_and_values(
                model.graph,
                node,
                [node],
                [*(cast for cast in inputs if cast), product, back],
                [node.outputs[0]],
                [back.outputs[0]],
            )


def _cast(value: ir.Value, dtype: ir.DataType) -> ir.Node:
    node = ir.node("Cast", [value], attributes={"to": dtype})
    _typed(node.outputs[0], value, dtype)
    return node


def _typed(value: ir.Value, like: ir.Value, dtype: ir.DataType) -> None:
    value.type = ir.TensorType(dtype)
    value.shape = like.shape


def fold_weights(model: ir.Model) -> None:
    """Apply transposes and casts of weights when the file is written, not at run time."""
    for node in list(model.graph):
        source = node.inputs[0] if node.inputs else None
        if node.op_type not in ("Transpose", "Cast") or source is None:
            continue
        weight = source.const_value
        if weight is None or source.name not in model.graph.initializers:
            continue
        folded = _folded(node, weight)
        value = ir.Value(
            name=f"{source.name}.{node.op_type.lower()}.{node.outputs[0].name}",
            type=ir.TensorType(folded.dtype),
            shape=folded.shape,
            const_value=folded,
        )
        node.outputs[0].replace_all_uses_with(value)
        model.graph.remove(node, safe=True)
        model.graph.register_initializer(value)
    drop_unused(model)


def drop_unused(model: ir.Model) -> None:
    """Remove weights that no node reads any more."""
    for name, value in list(model.graph.initializers.items()):
        if not value.uses():
            del model.graph.initializers[name]


def _folded(node: ir.Node, weight: ir.TensorProtocol) -> ir.LazyTensor:
    if node.op_type == "Cast":
        dtype = ir.DataType(node.attributes["to"].as_int())
        return ir.LazyTensor(
            lambda: ir.tensor(weight.numpy().astype(dtype.numpy())),
            dtype=dtype,
            shape=ir.Shape(weight.shape.numpy()),
        )
    order = node.attributes["perm"].as_ints()
    return ir.LazyTensor(
        lambda: ir.tensor(np.ascontiguousarray(weight.numpy().transpose(order))),
        dtype=weight.dtype,
        shape=ir.Shape([weight.shape.numpy()[axis] for axis in order]),
    )


def save_graph(model: ir.Model, path: Path) -> None:
    """Write a graph; large weights go to `NAME.data` beside it."""
    size = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value)
    external = path.with_suffix(".data").name if size > INLINE_BYTES else None
    if external is None:
        # The source of the graph may have had its weights in another file.
        model = ir.external_data.load_to_model(model)
    ir.save(model, path, external_data=external)
