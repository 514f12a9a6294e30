"""Building of one plan of a whole generation, from a file of `adagen-rt bundle --for tensorrt`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import onnx

from adagen_rt.backends.tensorrt.build import Progress, check_batches
from adagen_rt.backends.tensorrt.modules import find_module
from adagen_rt.backends.tensorrt.network import PlanJob, build_plan
from adagen_rt.backends.tensorrt.profiles import Shapes
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable, replace_file


def build_whole(
    bundle: BundleFile,
    backend: str,
    *,
    batches: Sequence[int] = (1, 4, 8),
    out: Path | None = None,
    progress: Progress = lambda graph, phase, done, steps: None,
) -> Path:
    """Build one plan of a whole generation.

    Args:
        bundle: The file.
        backend: ``tensorrt``, for this machine's GPU, or ``tensorrt-rtx``, which needs none.
        batches: Numbers of samples to have an optimisation profile for; profiles ascend.
        out: The plan; None takes ``NAME.BACKEND.plan`` beside the file.
        progress: Told about the progress.

    Raises:
        InputError: An argument is out of its range, or the file is for other hosts.
        MissingExtraError: The backend is not installed.
        DeviceError: The backend builds for this machine's GPU, and there is none.
        PlanError: TensorRT cannot build it.
    """
    module, checked = find_module(backend), check_batches(batches)
    if bundle.facts.dialect != "tensorrt":
        expected = "a file of adagen-rt bundle --for tensorrt: it has operators that TensorRT lacks"
        raise InputError("engine", str(bundle.path), expected)
    target = out or bundle.path.with_name(f"{bundle.path.stem}.{module.name}.plan")
    check_writable("out", target)
    module.load()
    module.target()
    profiles = [_shapes(bundle.path, batch) for batch in checked]
    name = bundle.path.name
    job = PlanJob(bundle.path, str(bundle.path), profiles, b"", partial(progress, name))
    plan, _ = build_plan(module, job)
    replace_file(target, lambda path: path.write_bytes(plan))
    return target


def _shapes(path: Path, batch: int) -> Shapes:
    """Return the shapes of a file's inputs, of which the first axis is the batch."""
    graph = onnx.load(path, load_external_data=False).graph
    dims = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    return {name: (batch, *(dim.dim_value for dim in sizes[1:])) for name, sizes in dims.items()}
