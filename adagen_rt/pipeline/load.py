"""From an engine's name to a generator, on the CPU or on a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from adagen_rt.backends import DEVICE_BACKENDS
from adagen_rt.engine.folder import Engine, open_engine
from adagen_rt.errors import InputError, MissingExtraError
from adagen_rt.ops.cpu import MAX_THREADS
from adagen_rt.pipeline.stepwise import Generator
from adagen_rt.sampling.request import as_integer
from adagen_rt.system import available_threads

if TYPE_CHECKING:
    from adagen_rt.pipeline.captured import DeviceGenerator


@overload
def load(
    engine: str | Path,
    *,
    backend: Literal["onnxruntime", "openvino"] = "onnxruntime",
    threads: int | None = None,
    provider: str | None = None,
) -> Generator: ...


@overload
def load(
    engine: str | Path,
    *,
    backend: str,
    threads: int | None = None,
    provider: str | None = None,
) -> Generator | DeviceGenerator: ...


def load(
    engine: str | Path,
    *,
    backend: str = "onnxruntime",
    threads: int | None = None,
    provider: str | None = None,
) -> Generator | DeviceGenerator:
    """Load an engine from a folder, or one of the shipped ones by name.

    Args:
        engine: Path of an engine folder, or a shipped engine's name.
        backend: Who executes the graphs: ``onnxruntime`` or ``openvino``, step by step, or
            a whole generation as one CUDA graph: ``tensorrt`` or ``tensorrt-rtx`` over plans that
            ``adagen-rt build`` made, ``torch`` with PyTorch's kernels.
        threads: CPU threads, with the first two; None takes all that this process may use.
        provider: Execution provider, with ``onnxruntime``: ``cpu`` (None is the same), ``cuda``,
            or a plugin by the end of its package's name, such as ``nv-tensorrt-rtx`` for
            ``onnxruntime-ep-nv-tensorrt-rtx``.

    Raises:
        AdagenError: The engine, or what it needs, is missing or unusable.
    """
    return make_generator(open_engine(engine), backend, threads, provider)


def make_generator(
    engine: Engine, backend: str, threads: int | None, provider: str | None
) -> Generator | DeviceGenerator:
    """A generator over an engine that is open; arguments as for ``load``."""
    if backend not in DEVICE_BACKENDS:
        return Generator(engine, backend=backend, threads=check_threads(threads), provider=provider)
    for field, value in (("threads", threads), ("provider", provider)):
        if value is not None:
            raise InputError(field, value, f"none with the backend {backend}")
    # Whoever generates on the CPU does not wait for the modules of a GPU, nor for PyTorch.
    if backend == "torch":
        if find_spec("torch") is None:
            raise MissingExtraError("torch", "torch-cuda")
        from adagen_rt.backends.torch.engine import open_torch_generator

        return open_torch_generator(engine)
    from adagen_rt.pipeline.captured import open_device_generator

    return open_device_generator(engine, backend)


def check_threads(threads: int | None) -> int:
    """``threads`` if it is a sensible number; None gives all that this process may use."""
    if threads is None:
        return min(available_threads(), MAX_THREADS)
    return as_integer("threads", threads, 1, MAX_THREADS)
