"""The graph that is being written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.onegraph.size import Dim, Size

#: Version of the default operator domain, the first with bitwise operators being 18.
OPSET = 20
#: The version of ONNX's file format that belongs to the operators.
IR_VERSION = 10
BATCH = "batch"


class Scope:
    """Nodes of one graph: the model's own, or a loop's body."""

    def __init__(self) -> None:
        self.nodes: list[ir.Node] = []
        self.outputs: list[ir.Value] = []
        # A value of a body does not exist outside of it, so each scope remembers its own.
        self.known: dict[Any, tuple[ir.Value, ...]] = {}


class Writer:
    """Writes nodes; the same node is never written twice in one scope.

    Attributes:
        weights: Constants by name, which every scope sees.
    """

    def __init__(self) -> None:
        self.weights: dict[str, ir.Value] = {}
        self._scopes = [Scope()]
        self._constants: dict[Any, ir.Value] = {}
        self._numbers: dict[str, int] = {}
        self._batch: ir.Value | None = None

    @property
    def nodes(self) -> list[ir.Node]:
        """Nodes of the current scope."""
        return self._scopes[-1].nodes

    @contextmanager
    def body(self) -> Iterator[Scope]:
        """Write what follows into a graph of its own."""
        scope = Scope()
        self._scopes.append(scope)
        try:
            yield scope
        finally:
            self._scopes.pop()

    def name(self, stem: str) -> str:
        """Make a name that nothing else has."""
        number = self._numbers.get(stem, 0)
        self._numbers[stem] = number + 1
        return f"{stem}_{number}"

    def emit(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        dtype: Any,
        attributes: Mapping[str, Any] | None = None,
        outputs: int = 1,
    ) -> tuple[ir.Value, ...]:
        """Write a node, or return the outputs of the same one.

        Args:
            op: The operator's name.
            inputs: Values; None for one that is left out.
            dtype: NumPy's dtype of the outputs; a sequence where they differ.
            attributes: The operator's attributes.
            outputs: Number of outputs.
        """
        given = dict(attributes or {})
        key = (op, tuple(map(id, inputs)), outputs, repr(sorted(given.items())))
        for scope in reversed(self._scopes):
            if key in scope.known:
                return scope.known[key]
        node = ir.node(op, list(inputs), given or None, num_outputs=outputs, name=self.name(op))
        dtypes = dtype if isinstance(dtype, (list, tuple)) else [dtype] * outputs
        for value, kind in zip(node.outputs, dtypes, strict=True):
            value.name, value.dtype = self.name("v"), ir.DataType.from_numpy(np.dtype(kind))
        self.add(node)
        self._scopes[-1].known[key] = tuple(node.outputs)
        return tuple(node.outputs)

    def add(self, node: ir.Node) -> None:
        """Append a node as it is."""
        self._scopes[-1].nodes.append(node)

    def constant(self, array: Any) -> ir.Value:
        """Return a constant's value; equal ones are stored once."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight(self.name("c"), ir.tensor(array))
        return self._constants[key]

    def weight(self, name: str, tensor: Any) -> ir.Value:
        """Add a named tensor."""
        tensor.name = name
        value = ir.Value(
            name=name,
            const_value=tensor,
            shape=ir.Shape(tensor.shape),
            type=ir.TensorType(tensor.dtype),
        )
        self.weights[name] = value
        return value

    def output(self, name: str, source: ir.Value, shape: Sequence[Dim]) -> ir.Value:
        """Name an output; a value from outside, or another's too, gets a node of its own."""
        scope, value = self._scopes[-1], source
        here = any(source in node.outputs for node in scope.nodes)
        if not here or source in scope.outputs:
            node = ir.node("Identity", [source], name=self.name("Identity"))
            (value,) = node.outputs
            self.add(node)
        value.name, value.type, value.shape = name, source.type, ir.Shape(symbolic(shape))
        scope.outputs.append(value)
        return value

    def model(self, name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> ir.Model:
        """Make the model, of traced arrays by name."""
        named = [self.output(key, array.value, array.shape) for key, array in outputs.items()]
        graph = ir.Graph(
            [array.value for array in inputs.values()],
            named,
            nodes=self.nodes,
            initializers=list(self.weights.values()),
            name=name,
            opset_imports={"": OPSET},
        )
        return ir.Model(graph, ir_version=IR_VERSION, producer_name="adagen-rt")

    def measure_batch(self, rows: ir.Value) -> None:
        """Take the batch from the first axis of an input of the model."""
        (shape,) = self.emit("Shape", [rows], np.int64, {"start": 0, "end": 1})
        self._batch = shape

    def dims(self, dims: Sequence[Dim]) -> ir.Value:
        """Return sizes as a value (n,) int64."""
        if not any(isinstance(dim, Size) for dim in dims):
            return self.constant(np.array(dims, np.int64))
        parts = [self._dim(dim) for dim in dims]
        return parts[0] if len(parts) == 1 else self.emit("Concat", parts, np.int64, {"axis": 0})[0]

    def _dim(self, dim: Dim) -> ir.Value:
        if not isinstance(dim, Size):
            return self.constant(np.array([dim], np.int64))
        assert self._batch is not None, "the model has no input yet"
        value = self._batch
        if dim.rows != 1:
            factor = self.constant(np.array([dim.rows], np.int64))
            (value,) = self.emit("Mul", [value, factor], np.int64)
        if dim.plus:
            plus = self.constant(np.array([dim.plus], np.int64))
            (value,) = self.emit("Add", [value, plus], np.int64)
        return value


def symbolic(shape: Sequence[Dim]) -> list[int | str]:
    """Return a shape as ONNX names it."""
    return [str(dim).removeprefix("1*") if isinstance(dim, Size) else dim for dim in shape]
