"""Products in bfloat16 for ONNX Runtime's CPU, which has no kernels for them.

Every factor is widened to float32, which is exact, and the product is rounded to bfloat16: what
hardware with bfloat16 products computes, which adds up in float32 as well.
"""

from __future__ import annotations

import onnx
from onnx import NodeProto, TensorProto, helper

from adagen_rt.backends.onnxruntime.nodes import replace_nodes

_PREFIX = "adagen.bfloat16."
_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv"})


def widen_products(model: onnx.ModelProto) -> bool:
    """Compute products of bfloat16 in float32, in place; tell whether ``model`` has any."""
    graph = model.graph
    half = {tensor.name for tensor in graph.initializer if _is_half(tensor.data_type)}
    half |= {node.output[0] for node in graph.node if node.op_type == "Cast" and _to_half(node)}
    wide: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in _PRODUCTS and half & set(node.input):
            nodes.extend(_widened(node, half, wide))
        else:
            nodes.append(node)
    replace_nodes(graph, nodes)
    return bool(wide)


def _widened(node: NodeProto, half: set[str], wide: dict[str, str]) -> list[NodeProto]:
    """Make the nodes of one product; ``wide`` has the factors that are widened already."""
    casts = []
    for name in dict.fromkeys(node.input):
        if name in half and name not in wide:
            wide[name] = f"{_PREFIX}{name}"
            casts.append(helper.make_node("Cast", [name], [wide[name]], to=TensorProto.FLOAT))
    product = NodeProto()
    product.CopyFrom(node)
    product.input[:] = [wide.get(name, name) for name in node.input]
    product.output[0] = f"{_PREFIX}{node.output[0]}"
    back = helper.make_node("Cast", product.output, node.output, to=TensorProto.BFLOAT16)
    return [*casts, product, back]


def _to_half(node: NodeProto) -> bool:
    return any(_is_half(attribute.i) for attribute in node.attribute if attribute.name == "to")


def _is_half(dtype: int) -> bool:
    return dtype == TensorProto.BFLOAT16
