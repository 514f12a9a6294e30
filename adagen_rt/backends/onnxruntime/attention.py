"""Self-attention as one operator, for ONNX Runtime's CPU.

A graph has it as it is exported: one product gives queries, keys and values, which are sliced,
transposed and scaled, then follow a product, a softmax and a product. ONNX Runtime's own optimiser
does not know that form. Its operator reads the rows where they lie, and computes a part of the
queries at a time, so that the scores of all heads are never in memory at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

_DOMAIN = "com.microsoft"
_PREFIX = "adagen.attention."
#: The axes of (rows, tokens, 3, heads, width) with the three first, and the tokens in each head.
_APART = [2, 0, 3, 1, 4]
_MERGED = [0, 2, 1, 3]


def fuse_attention(model: onnx.ModelProto) -> bool:
    """Put one operator in the place of every self-attention; tell whether ``model`` has any."""
    graph, index = model.graph, _Index(model.graph)
    fused = dict(filter(None, map(index.attention, graph.node)))
    if not fused:
        return False
    nodes = [new for node in graph.node for new in fused.get(node.output[0], [node])]
    del graph.node[:]
    graph.node.extend(_used(nodes, {output.name for output in graph.output}))
    if all(entry.domain != _DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    return True


class _Index:
    """Who makes and who reads the values of a graph, and its small constants."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {output: node for node in graph.node for output in node.output}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        for output in graph.output:
            self._readers[output.name].append(NodeProto())
        self._constants = {
            tensor.name: tensor
            for tensor in graph.initializer
            if tensor.data_location != TensorProto.EXTERNAL
        }

    def attention(self, softmax: NodeProto) -> tuple[str, list[NodeProto]] | None:
        """Give an attention's last output and what computes it, if ``softmax`` is a part of one."""
        if softmax.op_type != "Softmax":
            return None
        scores, mixed = self._maker(softmax.input[0], "MatMul"), self._reader(softmax, "MatMul")
        if scores is None or mixed is None or mixed.input[0] != softmax.output[0]:
            return None
        (query, left), (key, right) = map(self._scaled, scores.input)
        turned = self._climb(key, "Reshape", "Transpose", "Reshape")
        found = [self._third(name) for name in (query, turned, mixed.input[1])]
        transpose = self._reader(mixed, "Transpose")
        merged = transpose and self._reader(transpose, "Reshape")
        if not merged or _attribute(transpose, "perm") != _MERGED:
            return None
        sources = {source for source, _, _ in found}
        if len(sources) > 1 or [third for _, third, _ in found] != [0, 1, 2]:
            return None
        (source,) = sources
        return merged.output[0], list(_nodes(source, merged.output[0], found[0][2], left * right))

    def _third(self, name: str) -> tuple[str, int, int]:
        """Trace queries, keys or values back to (rows, tokens, 3 x width).

        Returns:
            The name of that, which third they are (-1 if they are none), and the heads.
        """
        piece = self._maker(self._climb(name, "Squeeze"), "Slice")
        apart = piece and self._maker(piece.input[0], "Transpose")
        view = apart and self._maker(apart.input[0], "Reshape")
        if not piece or not view or _attribute(apart, "perm") != _APART:
            return "", -1, 0
        (start,), (axis,) = self._constant(piece.input[1]), self._constant(piece.input[3])
        shape = self._constant(view.input[1])
        if axis != 0 or len(shape) != len(_APART) or shape[2] != 3 or shape[3] < 1:
            return "", -1, 0
        return view.input[0], int(start), int(shape[3])

    def _scaled(self, name: str) -> tuple[str, float]:
        """Give what a value is a multiple of, and the factor."""
        product = self._maker(name, "Mul")
        factor = self._constant(product.input[1]) if product else ()
        if product is None or len(factor) != 1:
            return name, 1.0
        return product.input[0], float(factor[0])

    def _climb(self, name: str, *ops: str) -> str:
        """Follow first inputs upwards through nodes of some types; empty where there are others."""
        for op in ops:
            node = self._maker(name, op)
            name = node.input[0] if node else ""
        return name

    def _maker(self, name: str, op: str) -> NodeProto | None:
        node = self._makers.get(name)
        return node if node is not None and node.op_type == op else None

    def _reader(self, node: NodeProto, op: str) -> NodeProto | None:
        """The only reader of a node, if it is of a type."""
        readers = self._readers[node.output[0]]
        return readers[0] if len(readers) == 1 and readers[0].op_type == op else None

    def _constant(self, name: str) -> np.ndarray:
        """The entries of a constant; none if it is not one."""
        tensor = self._constants.get(name)
        return np.array([]) if tensor is None else numpy_helper.to_array(tensor).reshape(-1)


def _nodes(source: str, output: str, heads: int, scale: float) -> Iterator[NodeProto]:
    thirds = [f"{_PREFIX}{output}.{name}" for name in ("query", "key", "value")]
    yield helper.make_node("Split", [source], thirds, axis=-1, num_outputs=3)
    yield helper.make_node(
        "MultiHeadAttention", thirds, [output], domain=_DOMAIN, num_heads=heads, scale=scale
    )


def _attribute(node: NodeProto, name: str) -> Any:
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return values.get(name)


def _used(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Leave out, of nodes in order, those that nothing of the outputs needs."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
