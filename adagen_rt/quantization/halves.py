"""Storage of an engine's weights in half precision: half the size, and the same products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.contracts import CHOOSERS
from adagen_rt.engine.folder import EngineFolder, open_engine, staged_twin, write_manifest
from adagen_rt.engine.precision import save_graph
from adagen_rt.quantization.errors import measure_errors, run_probes
from adagen_rt.quantization.probes import generate_probes
from adagen_rt.quantization.twin import copy_condition, copy_graph
from adagen_rt.quantization.weights import MIN_ENTRIES, add_initializer
from adagen_rt.types import Tell

#: Larger numbers than this are not halved: float16 ends at 65,504.
LARGEST = 6e4


def halve_engine(
    engine: EngineFolder,
    out: str | Path,
    *,
    name: str | None = None,
    threads: int = 1,
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Write an engine's twin whose large weights are stored as float16.

    They become float32 again when a graph is loaded, so that it computes as before, with weights
    that are rounded to 11 binary digits.

    Args:
        engine: The engine.
        out: The folder of the twin; an engine that is there is replaced when all is done.
        name: The twin's name; by default the engine's.
        threads: CPU threads.
        progress: Called with a line about what happens next.
    """
    manifest = engine.manifest.with_name(name or engine.manifest.name)
    runtime = OnnxRuntime(threads)
    progress("generating images to measure on")
    probes = generate_probes(engine, runtime, manifest.graphs.keys(), threads).probes
    graphs, halved = dict(manifest.graphs), 0
    with staged_twin(engine, Path(out)) as folder:
        for graph, spec in manifest.graphs.items():
            source, target = engine.graph_file(graph), folder / spec.file
            # Policies and critic see the same.
            given = probes.get(graph) or (probes["policy"] if graph in CHOOSERS else [])
            if not given:  # a reward model, which no image needs
                copy_graph(source, folder)
                continue
            progress(f"halving {graph}, and comparing it with what it was")
            model = ir.load(source)
            halved += halve_weights(model)
            save_graph(model, target)
            expected = run_probes(runtime.load(source), given)
            error = measure_errors(run_probes(runtime.load(target), given), expected).largest
            graphs[graph] = spec.model_copy(update={"error": max(error, spec.error or 0.0)})
        copy_condition(engine, folder)
        write_manifest(folder, manifest.model_copy(update={"graphs": graphs}))
    if not halved:
        progress(f"{manifest.name} has no large float32 weights: this is a copy")
    return open_engine(out)


def halve_weights(model: ir.Model) -> int:
    """Store a graph's large float32 weights as float16, each followed by a cast; count them."""
    large = [value for value in model.graph.initializers.values() if _can_be_half(value)]
    for value in large:
        model.graph.insert_before(model.graph[0], _halved(model, value))
    return len(large)


def _can_be_half(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < MIN_ENTRIES:
        return False
    return bool(np.abs(tensor.numpy()).max() < LARGEST)


def _halved(model: ir.Model, value: ir.Value) -> ir.Node:
    """Put a half in a weight's place, and return the cast that its readers have instead."""
    tensor, name = value.const_value, str(value.name)
    assert tensor is not None

    def half() -> ir.TensorProtocol:
        return ir.tensor(tensor.numpy().astype(np.float16))

    shape = [int(size) for size in tensor.shape.numpy()]
    stored = add_initializer(model, f"{name}.half", ir.DataType.FLOAT16, shape, half)
    cast = ir.node("Cast", [stored], {"to": ir.DataType.FLOAT}, name=f"{name}.cast")
    value.replace_all_uses_with(cast.outputs[0])
    del model.graph.initializers[name]
    (widened,) = cast.outputs
    widened.name, widened.dtype, widened.shape = name, ir.DataType.FLOAT, ir.Shape(shape)
    return cast
