"""Backends that execute an engine's graphs: a registry, each loaded at its first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from adagen_rt.backends.base import Backend
from adagen_rt.backends.execution import PRECISIONS, Execution
from adagen_rt.errors import InputError, needs_extra

if TYPE_CHECKING:
    from pathlib import Path

    from adagen_rt.engine.folder import EngineFolder

__all__ = [
    "BACKENDS",
    "DEVICE_BACKENDS",
    "PLANNED_BACKENDS",
    "PRECISIONS",
    "WHOLE_BACKENDS",
    "Backend",
    "Execution",
    "make_backend",
    "open_sessions",
    "open_whole",
]

#: Modules of the backends whose graphs run one by one over the host's arrays; each has
#: `make_backend(threads, provider, precision)`.
HOST_BACKENDS = {"onnxruntime": "onnxruntime.session", "openvino": "openvino"}
#: Modules of those that run whole generations on the host, and the extra that each needs; a module
#: has `make_pipeline(engine, execution, threads)`.
WHOLE_BACKENDS = {"one-graph": ("adagen_rt.onegraph.pipeline", "bundle")}
#: Modules of the backends that run whole generations on a GPU, see `adagen_rt.program`, and the
#: extra that each needs; a module has `open_sessions(engine, backend)`.
DEVICE_BACKENDS = {
    "tensorrt": ("tensorrt.runtime", "tensorrt"),
    "tensorrt-rtx": ("tensorrt.runtime", "tensorrt-rtx"),
    "torch": ("torch.engine", "torch-cuda"),
}
#: Those that run plans that were built before; their `open_sessions` also takes `plans`.
PLANNED_BACKENDS = ("tensorrt", "tensorrt-rtx")
BACKENDS = (*HOST_BACKENDS, *WHOLE_BACKENDS, *DEVICE_BACKENDS)


def make_backend(
    name: str, threads: int, provider: str | None = None, precision: str | None = None
) -> Backend:
    """Make the backend called ``name``, whose graphs run over the host's arrays.

    Args:
        name: One of ``HOST_BACKENDS``.
        threads: CPU threads of an operator.
        provider: Execution provider; None is the backend's CPU.
        precision: Number format of products, one of ``PRECISIONS``; None is float32.

    Raises:
        InputError: There is no backend of that name, or it has no such provider or precision.
        MissingExtraError: The backend is not installed; there is no silent fallback.
        DeviceError: The provider is installed and cannot be used, or the processor has no such
            precision.
    """
    if name not in HOST_BACKENDS:
        raise InputError("backend", name, f"one of {', '.join(HOST_BACKENDS)}")
    if precision not in (None, *PRECISIONS):
        raise InputError("precision", precision, f"one of {', '.join(PRECISIONS)}")
    module = _module(HOST_BACKENDS[name])
    backend: Backend = module.make_backend(threads, provider, precision)
    return backend


def open_sessions(
    engine: EngineFolder, backend: str, plans: Path | None = None
) -> tuple[Any, Any, int]:
    """Open an engine's graphs on this machine's GPU.

    Args:
        engine: A checked engine folder.
        backend: One of ``DEVICE_BACKENDS``.
        plans: Folder of plans; None looks beside the engine and in the user's cache.

    Returns:
        The graphs, the driver of the GPU, and the stream on which they run.

    Raises:
        InputError: There is no such backend.
        MissingExtraError: The backend or a CUDA driver's bindings are not installed.
        DeviceError: There is no GPU, or none that the backend supports.
        PlanError: There are no plans, or they are damaged or made for something else.
    """
    if backend not in DEVICE_BACKENDS:
        raise InputError("backend", backend, f"one of {', '.join(DEVICE_BACKENDS)}")
    name, extra = DEVICE_BACKENDS[backend]
    with needs_extra(extra):
        module = _module(name)
    where = () if plans is None else (plans,)
    opened: tuple[Any, Any, int] = module.open_sessions(engine, backend, *where)
    return opened


def open_whole(engine: EngineFolder, execution: Execution, threads: int) -> Any:
    """Make the pipeline of one of ``WHOLE_BACKENDS``.

    Raises:
        MissingExtraError: The backend is not installed.
    """
    name, extra = WHOLE_BACKENDS[execution.backend]
    with needs_extra(extra):
        module = import_module(name)
    return module.make_pipeline(engine, execution, threads)


def _module(name: str) -> Any:
    return import_module(f"adagen_rt.backends.{name}")
