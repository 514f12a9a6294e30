"""Writing of a float32 engine's twin with integer weights, whole or not at all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx_ir as ir

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.folder import EngineFolder, open_engine, staged_engine, write_manifest
from adagen_rt.engine.onnx_check import external_files
from adagen_rt.engine.precision import save_graph
from adagen_rt.errors import InputError
from adagen_rt.quantization.card import CARD, Report, write_card
from adagen_rt.quantization.choice import choose_kinds
from adagen_rt.quantization.convolutions import measure_ranges
from adagen_rt.quantization.errors import largest_error, relative_error, run_probes
from adagen_rt.quantization.layers import quantize_layers
from adagen_rt.quantization.probes import DECODER, record_probes
from adagen_rt.types import Arrays

#: Graphs that take nearly all of the time.
GRAPHS = ("condition", "backbone", DECODER)
Tell = Callable[[str], object]


def quantize_engine(
    engine: EngineFolder,
    out: str | Path,
    *,
    name: str | None = None,
    threads: int = 1,
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Write an engine's twin whose large layers have 8-bit integer weights.

    The layers that stay float32 are chosen by measurements (`quantization/choice.py`) on the
    graphs' inputs in the generation of a few images.

    Args:
        engine: A float32 engine.
        out: The folder of the twin; an engine that is there is replaced when all is done.
        name: The twin's name; by default the engine's with ``-int8`` at its end.
        threads: CPU threads.
        progress: Called with a line about what happens next.

    Raises:
        InputError: The engine is not float32.
    """
    if engine.manifest.dtype != "float32":
        raise InputError("engine", engine.manifest.dtype, "an engine of dtype float32")
    named = engine.manifest.with_name(name or f"{engine.manifest.name}-int8")
    with staged_engine(Path(out)) as folder:
        reports, graphs = {}, dict(engine.manifest.graphs)
        runtime = OnnxRuntime(threads, prepack=False)
        names = [name for name in GRAPHS if name in graphs]
        progress("generating images to measure on")
        probes = record_probes(engine, runtime, names, threads)
        for name, spec in graphs.items():
            source = engine.graph_file(name)
            if name not in names:
                _copy(source, folder)
                continue
            limit = engine.manifest.family.prediction_limit if name == "backbone" else math.inf
            reports[name] = _quantize(source, folder, probes[name], runtime, limit, progress)
            graphs[name] = spec.model_copy(update={"error": reports[name].largest})
        manifest = named.model_copy(update={"graphs": graphs, "dtype": "int8"})
        write_manifest(folder, manifest)
        write_card(folder / CARD, manifest, reports)
    return open_engine(out)


def _quantize(
    source: Path,
    folder: Path,
    probes: Sequence[Arrays],
    runtime: OnnxRuntime,
    limit: float,
    progress: Tell,
) -> Report:
    """Write one graph's twin into ``folder``."""
    expected = run_probes(runtime.load(source), probes)
    # Other graphs' convolutions embed patches; integers are too coarse for their wide ranges.
    ranges = measure_ranges(source, probes, runtime) if source.stem == DECODER else {}
    kinds = choose_kinds(source, probes, expected, ranges, runtime, limit, progress)
    progress(f"writing {source.stem}, and comparing it with float32")
    model = ir.load(source)
    quantize_layers(model, [kind.name for kind in kinds if kind.integer], ranges)
    target = folder / source.name
    save_graph(model, target)
    got = run_probes(runtime.load(target), probes)
    return Report(kinds, relative_error(got, expected), largest_error(got, expected))


def _copy(source: Path, folder: Path) -> None:
    for name in (source.name, *external_files(source)):
        shutil.copy(source.parent / name, folder / name)
