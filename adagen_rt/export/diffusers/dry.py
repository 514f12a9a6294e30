"""An export without weights: every graph is made, and told how large it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import onnx_ir as ir
import torch
from torch import Tensor

from adagen_rt.engine.sections import Dtype
from adagen_rt.export.diffusers.engine import Plan
from adagen_rt.export.diffusers.folder import META
from adagen_rt.export.diffusers.graphs import pipeline_graphs
from adagen_rt.export.examples import ROWS
from adagen_rt.export.onnx_export import GraphPlan, build_graph, count_parameters
from adagen_rt.types import Tell


@dataclass
class Tracer:
    """Makes graphs of modules on the device `meta`, each once.

    Attributes:
        dtype: Precision of the matrix products.
        models: Graphs by name.
        seconds: What each took.
    """

    dtype: Dtype
    models: dict[str, ir.Model] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def trace(self, plan: GraphPlan) -> ir.Model:
        """Make a graph."""
        if plan.name not in self.models:
            began = time.perf_counter()
            inputs = {name: tensor.to(META) for name, tensor in plan.inputs.items()}
            self.models[plan.name] = build_graph(replace(plan, inputs=inputs), self.dtype)
            self.seconds[plan.name] = time.perf_counter() - began
        return self.models[plan.name]

    def run(self, plan: GraphPlan) -> tuple[Tensor, ...]:
        """Make tensors of the sizes of a graph's outputs, whose first axis are the rows."""
        made: list[Tensor] = []
        for value in self.trace(plan).graph.outputs:
            sizes = [dim for dim in value.shape or () if isinstance(dim, int)]
            made.append(torch.empty(ROWS, *sizes, device=META))
        return tuple(made)

    def facts(self, plan: GraphPlan) -> Iterator[str]:
        """Tell a graph's inputs, and its size."""
        model = self.trace(plan)
        given = ", ".join(f"{value.name} {_shape(value)}" for value in model.graph.inputs)
        made = ", ".join(f"{value.name} {_shape(value)}" for value in model.graph.outputs)
        yield (
            f"{plan.name}: {len(model.graph)} nodes, {count_parameters(model):,} parameters, "
            f"{_bytes(model) / 1e9:,.1f} GB in {self.seconds[plan.name]:.0f} s; {given} -> {made}"
        )


def dry_export(plan: Plan, dtype: Dtype, progress: Tell) -> Iterator[str]:
    """Make every graph of an engine without weights: a line of each, and of the memory.

    Args:
        plan: The engine.
        dtype: Precision of the matrix products.
        progress: Called with a line about what happens next.
    """
    tracer = Tracer(dtype)
    source = replace(plan.source, weightless=True)
    made = source, plan.condition, plan.latents, plan.sampler.whole, plan.other
    graphs = pipeline_graphs(*made, run=tracer.run)
    for graph in graphs:
        progress(f"making {graph.name}")
        yield from tracer.facts(graph)
    sizes = [_bytes(model) / 1e9 for model in tracer.models.values()]
    yield f"engine: {sum(sizes):,.1f} GB; a generation holds that, and what lies between"
    with suppress(ImportError):  # Windows does not tell it so
        yield f"this run: at most {_peak() / 1e9:,.1f} GB of memory, without a weight"


def _bytes(model: ir.Model) -> int:
    tensors = [value.const_value for value in model.graph.initializers.values()]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def _shape(value: ir.Value) -> str:
    return "x".join(map(str, value.shape or ()))


def _peak() -> int:
    """Return the most memory that this process had, in bytes."""
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
