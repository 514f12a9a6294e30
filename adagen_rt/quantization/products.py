"""Matrix products with 8-bit integer weights.

The written graph is plain ONNX: ``DequantizeLinear`` of int8 weights with a scale per column,
then the product. The graph defines the stored weights, and the backend chooses how to multiply.
Both backends that run it (``backends/onnxruntime``, ``backends/openvino.py``) quantise each row of
the other factor at run time, so that a sample does not depend on the rest of its batch.
"""

from __future__ import annotations

import onnx_ir as ir

from adagen_rt.quantization.weights import find_weight, store_integers, store_scales

OPS = ("MatMul", "Gemm")


def quantize_product(model: ir.Model, node: ir.Node) -> None:
    """Replace one product's weight by integers; a Gemm becomes a product and a sum."""
    turned = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    factor = find_weight(node)
    stored, scales = (store(model, factor, 1, turned) for store in (store_integers, store_scales))
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
