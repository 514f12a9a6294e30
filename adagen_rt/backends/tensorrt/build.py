"""Building of an engine's set of plans, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adagen_rt.backends.tensorrt.modules import Module, find_module
from adagen_rt.backends.tensorrt.network import PlanJob, build_plan
from adagen_rt.backends.tensorrt.places import check_target_folder
from adagen_rt.backends.tensorrt.profiles import graph_profiles
from adagen_rt.backends.tensorrt.record import (
    RECORD,
    TIMINGS,
    PlanSpec,
    Record,
    plan_file,
    read_record,
    write_record,
)
from adagen_rt.engine.contracts import KEEP_FLOAT32
from adagen_rt.engine.folder import EngineFolder, sha256
from adagen_rt.engine.onnx_check import external_files
from adagen_rt.engine.sections import Dtype
from adagen_rt.errors import InputError, PlanError, as_integer, needs_extra
from adagen_rt.files import staged_folder

MAX_BATCHES, MAX_BATCH = 16, 1024

#: Called with a graph, a phase of its build, the steps that are done, and the number of steps.
Progress = Callable[[str, str, int, int], object]


@dataclass(frozen=True)
class BuildOrder:
    """Checked settings of a build.

    Attributes:
        engine: The engine.
        module: The module that builds.
        target: Compute capability that the plans are for, or `PORTABLE`.
        dtype: Precision of the matrix products.
        batches: Samples of each batch bucket, ascending.
        folder: Where the plans go.
    """

    engine: EngineFolder
    module: Module
    target: str
    dtype: Dtype
    batches: tuple[int, ...]
    folder: Path


def build_plans(
    engine: EngineFolder,
    backend: str,
    *,
    batches: Sequence[int] = (1, 4, 8),
    dtype: Dtype | None = None,
    out: Path | None = None,
    progress: Progress = lambda graph, phase, done, steps: None,
) -> Path:
    """Build the plans of all graphs of an engine.

    Plans of an earlier build are replaced when all is done, and stay as they are until then.

    Args:
        engine: The engine.
        backend: ``tensorrt``, for this machine's GPU, or ``tensorrt-rtx``, which needs none.
        batches: Numbers of samples to have an optimisation profile for.
        dtype: Precision of the matrix products; None takes the engine's own.
        out: A folder for the plans of any number of engines; None takes the engine's own or, for
            an engine that came with the package or cannot be written to, the user's cache.
        progress: Told about the progress.

    Returns:
        The folder of the plans.

    Raises:
        InputError: An argument is out of its range.
        MissingExtraError: The backend is not installed.
        DeviceError: The backend builds for this machine's GPU, and there is none.
        PlanError: TensorRT cannot build a graph.
    """
    order = _check(engine, backend, batches, dtype, out)
    graphs = engine.manifest.graphs
    profiles = {graph: graph_profiles(engine.manifest, graph, order.batches) for graph in graphs}
    timings = _older_timings(order)
    plans = {}
    with staged_folder(order.folder, RECORD) as folder:
        for graph in graphs:
            with _source(order, graph, folder) as path:
                label = f"graphs.{graph} ({engine.graph_file(graph)})"
                job = PlanJob(path, label, profiles[graph], timings, partial(progress, graph))
                plan, timings = build_plan(order.module, job)
            (folder / plan_file(graph)).write_bytes(plan)
            plans[graph] = PlanSpec(sources=_sources(engine, graph), profiles=profiles[graph])
        if timings:
            (folder / TIMINGS).write_bytes(timings)
        write_record(folder, _record(order, plans, folder))
    return order.folder


def _check(
    engine: EngineFolder,
    backend: str,
    batches: Sequence[int],
    dtype: Dtype | None,
    out: Path | None,
) -> BuildOrder:
    module = find_module(backend)
    checked = check_batches(batches)
    own = engine.manifest.dtype
    if "int8" in (own, dtype):
        raise InputError("dtype", "int8", "another: integer weights are for CPUs")
    if dtype not in (None, own) and own != "float32":
        raise InputError("dtype", dtype, f"{own}, as the engine has; export it in {dtype}")
    module.load()
    target = module.target()
    folder = check_target_folder(engine, module.name, out)
    return BuildOrder(engine, module, target, dtype or own, checked, folder)


def check_batches(batches: Sequence[int]) -> tuple[int, ...]:
    """Return numbers of samples, ascending and each once.

    Raises:
        InputError: One is out of its range, or there are too many.
    """
    if not 1 <= len(batches) <= MAX_BATCHES:
        raise InputError("batch", list(batches), f"1 to {MAX_BATCHES} numbers")
    return tuple(sorted({as_integer("batch", batch, 1, MAX_BATCH) for batch in batches}))


def _older_timings(order: BuildOrder) -> bytes:
    """Read the timing cache of an earlier build by the same module on the same kind of GPU."""
    try:
        record = read_record(order.folder)
    except PlanError:
        return b""
    path = order.folder / TIMINGS
    known = (record.version, record.target) == (order.module.load().__version__, order.target)
    if not known or not path.is_file() or sha256(path) != record.files.get(TIMINGS):
        return b""
    return path.read_bytes()


@contextmanager
def _source(order: BuildOrder, graph: str, folder: Path) -> Iterator[Path]:
    """Give the ONNX file to build from: the engine's, or its twin in another precision."""
    path = order.engine.graph_file(graph)
    if order.dtype == order.engine.manifest.dtype or graph in KEEP_FLOAT32:
        yield path
        return
    with needs_extra(order.module.name):
        from adagen_rt.engine.precision import convert_file
    with tempfile.TemporaryDirectory(prefix=".twin-", dir=folder) as scratch:
        twin = Path(scratch) / path.name
        convert_file(path, twin, order.dtype)
        yield twin


def _sources(engine: EngineFolder, graph: str) -> dict[str, str]:
    path = engine.graph_file(graph)
    names = {path.name, *external_files(path)}
    return {name: engine.manifest.files[name] for name in sorted(names)}


def _record(order: BuildOrder, plans: dict[str, PlanSpec], folder: Path) -> Record:
    return Record(
        backend=order.module.name,
        version=order.module.load().__version__,
        target=order.target,
        dtype=order.dtype,
        batches=order.batches,
        plans=plans,
        files={path.name: sha256(path) for path in sorted(folder.iterdir())},
    )
