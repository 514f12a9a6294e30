"""What rewriting a graph takes, for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import NodeProto, helper

#: Domain of ONNX Runtime's own operators.
DOMAIN = "com.microsoft"


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[NodeProto]) -> None:
    """Put other nodes, in order, in the place of a graph's."""
    made = list(nodes)
    del graph.node[:]
    graph.node.extend(made)


def import_domain(model: onnx.ModelProto) -> None:
    """Let a graph have ONNX Runtime's own operators."""
    if all(entry.domain != DOMAIN for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
