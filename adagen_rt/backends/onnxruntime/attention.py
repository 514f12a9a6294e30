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
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from adagen_rt.backends.onnxruntime.nodes import DOMAIN, import_domain, replace_nodes

_PREFIX = "adagen.attention."
#: The first opset that splits into a number of equal parts.
_SPLIT = 18
#: The axes of (rows, tokens, 3, heads, width) with the three first, and the tokens in each head.
_APART = [2, 0, 3, 1, 4]
_MERGED = [0, 2, 1, 3]


def fuse_attention(model: onnx.ModelProto) -> bool:
    """Put one operator in the place of every self-attention; tell whether ``model`` has any."""
    graph, index = model.graph, _Index(model.graph)
    if any(entry.version < _SPLIT for entry in model.opset_import if not entry.domain):
        return False
    if any(map(_has_body, graph.node)):  # it may read what only an attention seems to
        return False
    fused = dict(filter(None, map(index.attention, graph.node)))
    if not fused:
        return False
    nodes = [new for node in graph.node for new in fused.get(node.output[0], [node])]
    replace_nodes(graph, _used(nodes, {output.name for output in graph.output}))
    import_domain(model)
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
        if softmax.op_type != "Softmax" or _attribute(softmax, "axis") not in (None, -1, 3):
            return None
        scores, mixed = self._maker(softmax.input[0], "MatMul"), self._reader(softmax, "MatMul")
        if scores is None or mixed is None or mixed.input[0] != softmax.output[0]:
            return None
        (query, left), (key, right) = map(self._scaled, scores.input)
        found = [self._third(name) for name in (query, self._turned(key), mixed.input[1])]
        sources = {source for source, _, _ in found}
        if len(sources) > 1 or [third for _, third, _ in found] != [0, 1, 2]:
            return None
        rows, tokens, heads, width = found[0][2]
        output = self._merged(mixed, [rows, tokens, heads * width])
        if not output:
            return None
        return output, list(_nodes(sources.pop(), output, heads, left * right))

    def _merged(self, mixed: NodeProto, shape: list[int]) -> str:
        """Name all heads in one (rows, tokens, all heads' width); empty where there is none."""
        back = self._reader(mixed, "Transpose")
        merged = self._reader(back, "Reshape") if back else None
        if back is None or merged is None or _attribute(back, "perm") != _MERGED:
            return ""
        return str(merged.output[0]) if self._constant(merged.input[1]).tolist() == shape else ""

    def _turned(self, name: str) -> str:
        """Name the keys whose last axes are exchanged in a value; empty where they are not."""
        turn = self._maker(self._climb(name, "Reshape"), "Transpose")
        if turn is None or _attribute(turn, "perm") != [0, 2, 1]:
            return ""
        return self._climb(turn.input[0], "Reshape")

    def _third(self, name: str) -> tuple[str, int, list[int]]:
        """Trace queries, keys or values back to (rows, tokens, 3 x width).

        Returns:
            The name of that, which third they are (-1 if they are none), and how many rows,
            tokens, heads and channels of a head.
        """
        piece = self._maker(self._climb(name, "Squeeze"), "Slice")
        apart = self._maker(piece.input[0], "Transpose") if piece else None
        view = self._maker(apart.input[0], "Reshape") if apart else None
        if piece is None or apart is None or view is None or _attribute(apart, "perm") != _APART:
            return "", -1, []
        start, _, axis, *_ = map(self._constant, [*piece.input[1:], "", "", ""])
        shape = self._constant(view.input[1])
        if start.shape != (1,) or axis.tolist() != [0] or len(shape) != 5 or shape[2] != 3:
            return "", -1, []
        return str(view.input[0]), int(start[0]), np.delete(shape, 2).tolist()

    def _scaled(self, name: str) -> tuple[str, float]:
        """Give what a value is a multiple of, and the factor."""
        product = self._maker(name, "Mul")
        factor = self._constant(product.input[1] if product else "")
        if product is None or len(factor) != 1:
            return name, 1.0
        return str(product.input[0]), float(factor[0])

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

    def _constant(self, name: str) -> npt.NDArray[Any]:
        """The entries of a constant; none if it is not one."""
        tensor = self._constants.get(name)
        return np.array([]) if tensor is None else numpy_helper.to_array(tensor).reshape(-1)


def _nodes(source: str, output: str, heads: int, scale: float) -> Iterator[NodeProto]:
    thirds = [f"{_PREFIX}{output}.{name}" for name in ("query", "key", "value")]
    yield helper.make_node("Split", [source], thirds, axis=-1, num_outputs=3)
    yield helper.make_node(
        "MultiHeadAttention", thirds, [output], domain=DOMAIN, num_heads=heads, scale=scale
    )


def _attribute(node: NodeProto, name: str) -> Any:
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return values.get(name)


def _has_body(node: NodeProto) -> bool:
    """Tell whether a node runs other nodes, as `If` and `Loop` do."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _used(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Leave out, of nodes in order, those that nothing of the outputs needs."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]
