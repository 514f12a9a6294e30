"""Loading of pipelines by an engine's name, on the CPU or on a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from adagen_rt.backends import (
    BACKENDS,
    DEVICE_BACKENDS,
    PLANNED_BACKENDS,
    PRECISIONS,
    WHOLE_BACKENDS,
    Execution,
    open_sessions,
    open_whole,
)
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.errors import InputError, as_integer
from adagen_rt.ops.cpu import MAX_THREADS
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.system import available_threads

if TYPE_CHECKING:
    from adagen_rt.pipeline.base import Pipeline


@overload
def load(
    engine: str | Path,
    *,
    backend: Literal["onnxruntime", "openvino"] = "onnxruntime",
    threads: int | None = None,
    provider: str | None = None,
    precision: str | None = None,
) -> StepwisePipeline: ...


@overload
def load(
    engine: str | Path,
    *,
    backend: str,
    threads: int | None = None,
    provider: str | None = None,
    precision: str | None = None,
    plans: str | Path | None = None,
) -> Pipeline: ...


def load(
    engine: str | Path,
    *,
    backend: str = "onnxruntime",
    threads: int | None = None,
    provider: str | None = None,
    precision: str | None = None,
    plans: str | Path | None = None,
) -> Pipeline:
    """Load an engine from a folder, one of the shipped ones by name, or a whole generation.

    Args:
        engine: Path of an engine folder, a shipped engine's name, or the path of an ONNX file
            that ``adagen-rt bundle`` wrote, which ``onnxruntime`` runs on the CPU.
        backend: Backend of the graphs. ``onnxruntime`` and ``openvino`` run step by step.
            ``one-graph`` makes one graph of a whole generation, for ONNX Runtime on the CPU. The
            others run a whole generation as one CUDA graph: ``tensorrt`` and ``tensorrt-rtx``
            over plans that ``adagen-rt build`` made, ``torch`` with PyTorch's kernels.
        threads: CPU threads of the backends of the CPU; None takes all that this process
            may use.
        provider: Execution provider, with ``onnxruntime``: ``cpu`` (None is the same), ``cuda``,
            or a plugin by the end of its package's name, such as ``nv-tensorrt-rtx`` for
            ``onnxruntime-ep-nv-tensorrt-rtx``.
        precision: Number format of the backbone's products on the host: ``fp32`` (None is the
            same) or, with ``openvino`` on processors that have it, ``bf16``.
        plans: Folder that ``adagen-rt build --out`` wrote; None finds plans beside the engine
            and in the user's cache.

    Raises:
        AdagenError: The engine or its backend is missing or unusable.
    """
    execution = Execution(backend, threads, provider, precision, plans)
    return make_pipeline(open_engine(engine), execution)


def make_pipeline(engine: EngineFolder, execution: Execution) -> Pipeline:
    """Make a pipeline over an engine that is open."""
    backend, plans = execution.backend, execution.plans
    if backend not in BACKENDS:
        raise InputError("backend", backend, f"one of {', '.join(BACKENDS)}")
    if plans is not None and backend not in PLANNED_BACKENDS:
        raise InputError("plans", str(plans), f"none with the backend {backend}")
    if isinstance(engine, BundleFile):
        return _bundled(engine, execution)
    if backend in WHOLE_BACKENDS:
        _refuse(execution, "provider", "precision")
        whole: Pipeline = open_whole(engine, execution, check_threads(execution.threads))
        return whole
    if backend not in DEVICE_BACKENDS:
        return StepwisePipeline(
            engine,
            backend=backend,
            threads=check_threads(execution.threads),
            provider=execution.provider,
            precision=execution.precision,
        )
    _refuse(execution, "threads", "provider", "precision")
    # Imported here, so that generating on the CPU does not wait for a GPU's modules.
    from adagen_rt.pipeline.captured import CapturedPipeline

    sessions = open_sessions(engine, backend, Path(plans) if plans else None)
    engine.manifest.condition.load()
    engine.check_unchanged()
    return CapturedPipeline(engine, *sessions)


def _refuse(execution: Execution, *fields: str) -> None:
    """Refuse options that a backend does not have."""
    for field in fields:
        if (value := getattr(execution, field)) is not None:
            raise InputError(field, value, f"none with the backend {execution.backend}")


def _bundled(bundle: BundleFile, execution: Execution) -> Pipeline:
    from adagen_rt.pipeline.bundled import BundledPipeline

    only = {"backend": "onnxruntime", "provider": "cpu", "precision": PRECISIONS[0]}
    for field, name in only.items():
        if (value := getattr(execution, field)) not in (name, None):
            raise InputError(field, value, f"{name} for a whole generation in one file")
    if bundle.facts.form == "step":
        expected = "one file with a whole generation: this is one of three, for hosts of their own"
        raise InputError("engine", str(bundle.path), expected)
    return BundledPipeline(bundle, check_threads(execution.threads))


def check_threads(threads: int | None) -> int:
    """Return ``threads`` if it is a sensible number; None gives all that this process may use."""
    if threads is None:
        return min(available_threads(), MAX_THREADS)
    return as_integer("threads", threads, 1, MAX_THREADS)
