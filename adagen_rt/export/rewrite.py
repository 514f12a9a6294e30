"""Rewrites of an exported graph that hold at most one weight in memory at a time."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

#: Where nearly all the arithmetic and all the large weights are.
PRODUCTS = ("MatMul", "Gemm", "Conv")


def convert_products(model: ir.Model, dtype: ir.DataType) -> None:
    """Run the matrix products and convolutions in half precision.

    Adaptive norms, gates, the residual stream, softmax and the logits stay float32,
    where half precision overflows or loses what the sampler depends on.
    """
    for node in list(model.graph):
        if node.op_type in PRODUCTS:
            inputs = [value and _cast(value, dtype) for value in node.inputs]
            product = ir.node(
                node.op_type,
                [cast and cast.outputs[0] for cast in inputs],
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
    """Apply transposes and casts of weights when they are written, not when they are used."""
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
    for name, value in list(model.graph.initializers.items()):
        if not value.uses():
            del model.graph.initializers[name]


def drop_traces(model: ir.Model) -> None:
    """Forget which lines of Python made each node.

    The exporter notes a stack trace a node: a quarter of a small graph's size, and paths of
    the machine that exported it.
    """
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


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
        shape=ir.Shape([weight.shape[axis] for axis in order]),
    )
