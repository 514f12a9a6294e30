"""Integer products in the form that ONNX Runtime computes fastest.

A graph with integer weights has ``DequantizeLinear``, then ``MatMul`` (see
``quantization/products.py``), which ONNX Runtime would compute in float32. Here each row of the
other factor gets its own scale, so that its largest entry is 127, and is rounded to unsigned
integers around 128, because unsigned times signed is the fastest pair of types on x86.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from adagen_rt.backends.onnxruntime.nodes import DOMAIN, import_domain, replace_nodes

_PREFIX = "adagen.int8."
#: Constants that the new nodes share, by name.
_CONSTANTS: dict[str, np.ndarray] = {
    "one": np.array(1, np.float32),
    "middle": np.array(128, np.uint8),
    "last": np.array([-1], np.int64),
    "inverse": np.array(1 / 127, np.float32),
    # A row of zeros must not be divided by zero.
    "least": np.array(1e-30, np.float32),
}

#: The opset whose QuantizeLinear takes a scale a block, and the operator whose meaning it changes.
_BLOCKS, _CHANGED = 21, "GroupNormalization"
#: Makes the nodes that round scaled rows, by the name of the rows and how many entries they have.
Round = Callable[[str, int], Iterator[NodeProto]]
#: Makes the nodes of a product of rounded rows, by the names of the rows, the stored weights,
#: their scales and the product.
Multiply = Callable[[str, str, str, str], Iterator[NodeProto]]


def integer_products(model: onnx.ModelProto, *, standard: bool = False) -> bool:
    """Multiply integer weights as integers, in place; tell whether ``model`` has any.

    Args:
        model: The graph.
        standard: Whether to use ONNX's own operators alone. Its products read the weights with
            128 added, as unsigned integers, which no processor's fast sums overflow; the caller
            adds it.
    """
    multiply: Multiply = _multiply_standard if standard else _multiply
    graph = model.graph
    factors = {node.input[1] for node in graph.node if node.op_type == "MatMul"}
    weights = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.output[0] in factors
    }
    if not weights:
        return False
    round_rows: Round = _divide if standard or not _allow_blocks(model) else _round_blocks
    widths = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    nodes: list[NodeProto] = []
    rounded: set[str] = set()
    used: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            rows, weight = node.input[0], weights[node.input[1]]
            if rows not in rounded:
                rounded.add(rows)
                nodes.extend(_scale_rows(rows))
                nodes.extend(round_rows(rows, widths[weight.input[0]]))
            stored = weight.input[0] if standard else _own_copy(graph, weight.input[0], used)
            nodes.extend(multiply(rows, stored, weight.input[1], node.output[0]))
        elif node.output[0] not in weights:
            nodes.append(node)
    replace_nodes(graph, nodes)
    graph.initializer.extend(
        numpy_helper.from_array(array, _PREFIX + name) for name, array in _CONSTANTS.items()
    )
    if not standard:
        import_domain(model)
    return True


def _allow_blocks(model: onnx.ModelProto) -> bool:
    """Let a graph round blocks of rows, which opset 21 has; tell whether it may.

    Of the operators that older graphs have, that opset changes the meaning of one alone.
    """
    (opset,) = (entry for entry in model.opset_import if not entry.domain)
    if opset.version < _BLOCKS and any(n.op_type == _CHANGED for n in model.graph.node):
        return False
    opset.version = max(opset.version, _BLOCKS)
    return True


def _scale_rows(rows: str) -> Iterator[NodeProto]:
    """Make the nodes that give the scales (..., 1) of rows (..., inputs).

    Two reductions only read the rows; their sizes would be written first.
    """
    last, inverse, least = (_PREFIX + name for name in ("last", "inverse", "least"))
    high, low, opposite, largest, step, scale = (
        f"{_PREFIX}{rows}.{name}"
        for name in ("high", "low", "opposite", "largest", "step", "scale")
    )
    yield helper.make_node("ReduceMax", [rows, last], [high], keepdims=1)
    yield helper.make_node("ReduceMin", [rows, last], [low], keepdims=1)
    yield helper.make_node("Neg", [low], [opposite])
    yield helper.make_node("Max", [high, opposite], [largest])
    yield helper.make_node("Mul", [largest, inverse], [step])
    yield helper.make_node("Max", [step, least], [scale])


def _divide(rows: str, width: int) -> Iterator[NodeProto]:
    """Make the nodes that round scaled rows to unsigned integers."""
    one, middle = _PREFIX + "one", _PREFIX + "middle"
    scale, fraction, integers = (
        f"{_PREFIX}{rows}.{name}" for name in ("scale", "fraction", "integers")
    )
    yield helper.make_node("Div", [rows, scale], [fraction])
    yield helper.make_node("QuantizeLinear", [fraction, one, middle], [integers])


def _round_blocks(rows: str, width: int) -> Iterator[NodeProto]:
    """Make the nodes that scale and round rows at once, each a block of the quantisation."""
    scale, shape, middles, integers = (
        f"{_PREFIX}{rows}.{name}" for name in ("scale", "shape", "middles", "integers")
    )
    yield helper.make_node("Shape", [scale], [shape])
    yield helper.make_node("Expand", [_PREFIX + "middle", shape], [middles])
    yield helper.make_node(
        "QuantizeLinear", [rows, scale, middles], [integers], axis=-1, block_size=width
    )


def _own_copy(graph: onnx.GraphProto, stored: str, used: Counter[str]) -> str:
    """Name weights that no other product reads, for ONNX Runtime to rearrange.

    On processors without VNNI, it makes unsigned weights of a product's signed ones under a name
    made of theirs, and fails when a second product has it do the same.
    """
    used[stored] += 1
    if used[stored] == 1:
        return stored
    original = next(tensor for tensor in graph.initializer if tensor.name == stored)
    copy = graph.initializer.add()
    copy.CopyFrom(original)
    copy.name = name = f"{_PREFIX}{stored}.{used[stored]}"
    return name


def _multiply(rows: str, stored: str, columns: str, output: str) -> Iterator[NodeProto]:
    one, middle = _PREFIX + "one", _PREFIX + "middle"
    integers, scale = f"{_PREFIX}{rows}.integers", f"{_PREFIX}{rows}.scale"
    product = f"{_PREFIX}{output}.product"
    yield helper.make_node(
        "MatMulIntegerToFloat",
        [integers, stored, one, columns, middle],
        [product],
        domain=DOMAIN,
    )
    yield helper.make_node("Mul", [product, scale], [output])


def _multiply_standard(rows: str, stored: str, columns: str, output: str) -> Iterator[NodeProto]:
    integers, scale = f"{_PREFIX}{rows}.integers", f"{_PREFIX}{rows}.scale"
    total, exact, product = (f"{_PREFIX}{output}.{name}" for name in ("total", "exact", "product"))
    middle = _PREFIX + "middle"
    yield helper.make_node("MatMulInteger", [integers, stored, middle, middle], [total])
    yield helper.make_node("Cast", [total], [exact], to=onnx.TensorProto.FLOAT)
    yield helper.make_node("Mul", [exact, columns], [product])
    yield helper.make_node("Mul", [product, scale], [output])
