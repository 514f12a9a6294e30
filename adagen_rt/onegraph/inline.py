"""An engine's graphs as parts of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from adagen_rt.backends.onnxruntime.int8 import integer_products
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.condition import Conditioner, take_rows
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.schedule import Schedule, ScheduleSpec
from adagen_rt.errors import InputError
from adagen_rt.onegraph.any_steps import OpenSchedule
from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.size import Dim, Shape, Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import OPSET
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.rule import StepRule
from adagen_rt.types import Arrays, Run


class TracedSession:
    """A graph of an engine, whose nodes are copied wherever it is run; its weights, once.

    Args:
        xp: The namespace, which has the model.
        name: The graph's name.
        path: Its file.
        expected: Sizes of the engine's tensors by ``graph.tensor``; None for any.
    """

    def __init__(
        self,
        xp: Namespace,
        name: str,
        path: Path,
        expected: Mapping[str, tuple[int | None, ...]],
    ) -> None:
        self._xp, self._name, self._path = xp, name, path
        self._expected = expected
        self._graph = _load(path)
        _check(self._graph, name)
        self._runs = 0

    @cached_property
    def _weights(self) -> dict[str, ir.Value]:
        """The graph's constants, which become the model's when it is first run."""
        return {
            key: self._xp.writer.weight(f"{self._name}/{key}", value.const_value)
            for key, value in self._graph.initializers.items()
        }

    def run(self, inputs: Arrays) -> Arrays:
        """Copy the graph's nodes for inputs by name, and return its outputs by name."""
        given = {str(value.name): inputs[str(value.name)] for value in self._graph.inputs}
        sizes = self._bind(given)
        if all(array.known is not None for array in given.values()):
            return self._compute(given, sizes)
        return self._copy(given, sizes)

    def _bind(self, given: Mapping[Any, Traced]) -> dict[str, Dim]:
        """Find the size that each of the graph's names of sizes stands for."""
        sizes: dict[str, Dim] = {}
        for value in self._graph.inputs:
            array = given[str(value.name)]
            for dim, size in zip(value.shape or (), array.shape, strict=True):
                if isinstance(dim, ir.SymbolicDim):
                    sizes[str(dim.value)] = size
        return sizes

    def _copy(self, given: Mapping[Any, Traced], sizes: Mapping[str, Dim]) -> Arrays:
        values: dict[ir.Value, ir.Value | None] = {
            value: given[value.name].value for value in self._graph.inputs
        }
        values |= {value: self._weights[key] for key, value in self._graph.initializers.items()}
        prefix, self._runs = f"{self._name}_{self._runs}", self._runs + 1
        for node in self._graph:
            copied = ir.node(
                node.op_type,
                [None if value is None else values[value] for value in node.inputs],
                domain=node.domain,
                num_outputs=len(node.outputs),
                name=f"{prefix}/{node.name or node.outputs[0].name}",
                attributes=dict(node.attributes),
            )
            for old, new in zip(node.outputs, copied.outputs, strict=True):
                new.name, new.type = f"{prefix}/{old.name}", old.type
                values[old] = new
            self._xp.writer.add(copied)
        return {
            str(value.name): Traced(
                self._xp, self._sized(value, sizes), _dtype(value), value=values[value]
            )
            for value in self._graph.outputs
        }

    def _compute(self, given: Mapping[Any, Traced], sizes: Mapping[str, Dim]) -> Arrays:
        """Run the graph now, with one row for all rows, which are the same."""
        graph = OnnxRuntime(1).load(self._path)
        outputs = graph.run({str(name): array.filled.copy() for name, array in given.items()})
        found = {}
        for value in self._graph.outputs:
            known = np.array(outputs[str(value.name)])
            found[str(value.name)] = self._xp.constant(known, self._sized(value, sizes))
        return found

    def _sized(self, value: ir.Value, sizes: Mapping[str, Dim]) -> Shape:
        """Give an output's shape; what the manifest does not say, the names of sizes do."""
        assert value.shape is not None
        known = self._expected.get(f"{self._name}.{value.name}", (None,) * len(value.shape))
        pairs = zip(value.shape, known, strict=True)
        return tuple(_size(dim, sizes) if size is None else size for dim, size in pairs)


def traced_sessions(xp: Namespace, engine: EngineFolder) -> dict[str, TracedSession]:
    """Open every graph of an engine to be copied."""
    expected = engine.manifest.expected_sizes()
    return {
        name: TracedSession(xp, name, engine.graph_file(name), expected)
        for name in engine.manifest.graphs
    }


def _load(path: Path) -> ir.Graph:
    """Load a graph; integer weights are multiplied as integers, as the runtime does."""
    model = onnx.load(path, load_external_data=False)
    if not integer_products(model, standard=True):
        return ir.load(path).graph
    graph = ir.from_proto(model).graph
    ir.external_data.set_base_dir(graph, path.parent)
    for stored in {node.inputs[1] for node in graph if node.op_type == "MatMulInteger"}:
        if stored is not None and stored.dtype == ir.DataType.INT8:
            stored.const_value = _unsigned(stored.const_value)
            stored.type = ir.TensorType(ir.DataType.UINT8)
    return graph


def _unsigned(tensor: Any) -> ir.LazyTensor:
    """Add 128 to signed bytes, when they are written."""

    def read() -> Any:
        return ir.tensor(tensor.numpy().view(np.uint8) ^ np.uint8(128), name=tensor.name)

    return ir.LazyTensor(read, dtype=ir.DataType.UINT8, shape=tensor.shape, name=tensor.name)


def _check(graph: ir.Graph, name: str) -> None:
    """Refuse what cannot be copied into a model of the default operators.

    Raises:
        InputError: A node is of another domain.
    """
    domains = {node.domain for node in graph} - {""}
    if domains:
        raise InputError(f"graphs.{name}", f"operators of {', '.join(domains)}", "ONNX's own alone")
    version = graph.opset_imports.get("", OPSET)
    if version > OPSET:
        raise InputError(f"graphs.{name}", f"opset {version}", f"at most {OPSET}")


def _size(dim: Any, sizes: Mapping[str, Dim]) -> Dim:
    return sizes[str(dim.value)] if isinstance(dim, ir.SymbolicDim) else int(dim)


def _dtype(value: ir.Value) -> Any:
    assert value.dtype is not None
    return value.dtype.numpy()


def once(conditioner: Conditioner, rows: Arrays) -> Any:
    """Write the conditions of samples here, and not in every step or for every candidate."""
    condition = conditioner(rows)
    for array in condition.arrays.values():
        assert array.value
    return lambda rows: condition


class TracedAssembly(Assembly):
    """Parts of a loop whose graphs are copied into a model.

    A loop's number of steps may be an array (batch,): each sample's own.
    """

    def rule(self, steps: Any) -> StepRule[Any]:
        """Make a rule; it may keep memory, which must not be another body's."""
        plugin, spec = self.manifest.plugin, self.manifest.family
        return plugin.rule(spec, steps, self.ops, self.noise, self.sessions)

    def _schedule(self, spec: ScheduleSpec, steps: Any, calls: Any) -> Schedule:
        if isinstance(steps, Traced):
            return OpenSchedule(spec, steps, calls, self.manifest.family)
        return super()._schedule(spec, steps, calls)

    @cached_property
    def _conditioner(self) -> Conditioner:
        """Compute the conditions of all samples at once: none is remembered."""
        conditioner: Conditioner = super()._conditioner
        return replace(conditioner, together=True)

    @cached_property
    def _backbone(self) -> Run:
        """Copy the backbone; null rows that are known are computed now."""
        run = self.sessions["backbone"].run
        agreed = self.manifest.contracts["backbone"]

        def copied(inputs: Arrays) -> Arrays:
            paired = not agreed.axes and all(x.shape[0] == Size(2) for x in inputs.values())
            if not paired:
                return run(inputs)
            null = take_rows(inputs, slice(Size(1), None))
            if not all(array.known is not None for array in null.values()):
                return run(inputs)
            given, known = run(take_rows(inputs, slice(0, Size(1)))), run(null)
            return {name: x.xp.concat([x, known[name]]) for name, x in given.items()}

        return copied
