"""Writing of graphs to an engine folder, each compared with its module."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from adagen_rt.engine.folder import (
    MANIFEST,
    EngineFolder,
    open_engine,
    staged_engine,
    write_manifest,
)
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.precision import save_graph
from adagen_rt.engine.sections import Dtype, GraphSpec
from adagen_rt.export.examples import ROWS
from adagen_rt.export.flops import count_flops
from adagen_rt.export.onnx_export import GraphPlan, build_graph, count_parameters, tensor_specs
from adagen_rt.export.verify import Expectation, expectations, measure_error
from adagen_rt.files import check_target
from adagen_rt.quantization import quantize_engine
from adagen_rt.types import Tell


def export_as(
    dtype: Dtype,
    out: Path,
    name: str,
    export: Callable[[Path, Dtype], EngineFolder],
    progress: Tell,
) -> EngineFolder:
    """Export in a floating dtype; for int8, in float32 beside ``out`` and quantised from there.

    Args:
        dtype: The dtype.
        out: The engine folder.
        name: The engine's name.
        export: Exports to a folder in a floating dtype.
        progress: Called with a line about what happens next.
    """
    if dtype != "int8":
        return export(out, dtype)
    check_target(out, MANIFEST)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        folder = Path(scratch) / "float32"
        exact = export(folder, "float32")
        threads = torch.get_num_threads()
        return quantize_engine(exact, out, name=name, threads=threads, progress=progress)


def export_graphs(
    out: str | Path,
    plans: Callable[[], Iterator[GraphPlan]],
    describe: Callable[[dict[str, GraphSpec]], Manifest],
    *,
    dtype: Dtype,
    progress: Tell,
    beside: Callable[[Path], object] = lambda folder: None,
) -> EngineFolder:
    """Export graphs to an engine folder, and compare each with its module.

    Args:
        out: The engine folder.
        plans: Makes the graphs one after the other. Nothing else may hold their weights, which
            are freed before ONNX Runtime loads its own.
        describe: Makes the manifest of the graphs that were written.
        dtype: Precision of the matrix products.
        progress: Called with a line about what happens next.
        beside: Writes what else belongs to the engine.
    """
    with staged_engine(Path(out)) as folder:
        beside(folder)
        progress("making the networks")
        checks: list[Expectation] = []
        graphs: dict[str, GraphSpec] = {}
        for plan in plans():
            progress(f"exporting {plan.name}")
            checks += expectations(plan, dtype)
            graphs[plan.name] = _write(plan, folder, dtype)
            del plan
            gc.collect()
        for check in checks:
            progress(f"checking {check.name} against PyTorch")
            spec = graphs[check.name]
            error = max(measure_error(folder / spec.file, check), spec.error or 0.0)
            graphs[check.name] = spec.model_copy(update={"error": error})
        write_manifest(folder, describe(graphs))
    return open_engine(out)


def _write(plan: GraphPlan, folder: Path, dtype: Dtype) -> GraphSpec:
    """Write one graph."""
    calls = [list(call.values()) for call in plan.calls or (plan.inputs,)]
    flops = sum(count_flops(plan.module, call) for call in calls) // ROWS
    model = build_graph(plan, dtype)
    path = folder / f"{plan.name}.onnx"
    save_graph(model, path)
    return GraphSpec(
        file=path.name,
        inputs=tensor_specs(model.graph.inputs),
        outputs=tensor_specs(model.graph.outputs),
        parameters=count_parameters(model),
        flops=flops,
    )
