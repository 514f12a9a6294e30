"""Matrix products with 8-bit integer weights.

The written graph is plain ONNX: ``DequantizeLinear`` of int8 weights with a scale per column,
then the product. The graph defines the stored weights, and the backend chooses how to multiply.
Both backends that run it (``backends/onnxruntime``, ``backends/openvino.py``) quantise each row of
the other factor at run time, so that a sample does not depend on the rest of its batch.

A few inputs of a product may have weights far larger than all others. They would set the scales of
every column, so they are left out of the integers: a small product in float32 adds what they give.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from adagen_rt.quantization.weights import (
    add_initializer,
    find_outliers,
    find_weight,
    store_floats,
    store_integers,
    store_scales,
)

OPS = ("MatMul", "Gemm")


def quantize_product(model: ir.Model, node: ir.Node) -> None:
    """Replace one product's weight by integers; a Gemm becomes a product and a sum."""
    turned = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    factor = find_weight(node)
    outliers = find_outliers(factor, turned)
    stored, scales = (
        store(model, factor, 1, turned, outliers) for store in (store_integers, store_scales)
    )
    weight = ir.node("DequantizeLinear", [stored, scales], attributes={"axis": 1})
    new = [weight, ir.node("MatMul", [node.inputs[0], weight.outputs[0]])]
    if len(outliers):
        floats = store_floats(model, factor, outliers, turned)
        new += _float_part(model, node.inputs[0], floats, outliers)
        new.append(ir.node("Add", [new[1].outputs[0], new[-1].outputs[0]]))
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        new.append(ir.node("Add", [new[-1].outputs[0], node.inputs[2]]))
    for one in new:
        one.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    ir.convenience.replace_nodes_and_values(
        model.graph, node, [node], new, [node.outputs[0]], [new[-1].outputs[0]]
    )


def _float_part(
    model: ir.Model, rows: ir.Value | None, weight: ir.Value, inputs: npt.NDArray[np.int64]
) -> list[ir.Node]:
    """Make the product of some inputs with their own weights."""
    name, shape = f"{weight.name}.inputs", inputs.shape
    chosen = add_initializer(model, name, ir.DataType.INT64, shape, lambda: ir.tensor(inputs))
    picked = ir.node("Gather", [rows, chosen], attributes={"axis": -1})
    return [picked, ir.node("MatMul", [picked.outputs[0], weight])]
