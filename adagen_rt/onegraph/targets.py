"""Where a model may go: a file, a model repository of Triton, or a page for browsers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from adagen_rt.engine.bundle import files_of
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable, staged_files
from adagen_rt.onegraph.web import write_web
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SamplingParams

#: Writes an engine's model to a path and returns the files.
Writer = Callable[..., list[Path]]
#: Samples that Triton joins in one run.
MAX_BATCH = 64
TRITON_TYPES = {
    ir.DataType.INT64: "TYPE_INT64",
    ir.DataType.FLOAT: "TYPE_FP32",
    ir.DataType.UINT8: "TYPE_UINT8",
}


def write_file(
    engine: EngineFolder, out: Path, params: SamplingParams, **options: Any
) -> list[Path]:
    """Write ``NAME.onnx``; options are those of `write_bundle`."""
    write_bundle(engine, out, params, **options)
    return files_of(out)


def write_triton(
    engine: EngineFolder, folder: Path, params: SamplingParams, **options: Any
) -> list[Path]:
    """Write a model of a repository for Triton's onnxruntime backend: ``NAME/1`` and its config.

    Args:
        engine: The engine, whose name is the model's.
        folder: The repository; models of other names stay.
        params: Sampling parameters.
        **options: Those of `write_bundle`.
    """
    model = folder / engine.manifest.name
    if model.exists() and not (model / "config.pbtxt").is_file():
        raise InputError("triton", str(model), "a new folder, or a model's, with config.pbtxt")
    check_writable("triton", model, folder=True)
    version = model / "1"
    version.mkdir(parents=True, exist_ok=True)
    path = version / "model.onnx"
    write_bundle(engine, path, params, **options)
    with staged_files(model) as staging:
        text = triton_config(engine.manifest.name, ir.load(path).graph)
        (staging / "config.pbtxt").write_text(text, encoding="utf-8")
    return [*files_of(path), model / "config.pbtxt"]


def triton_config(name: str, graph: ir.Graph) -> str:
    """Write the configuration of a model: its tensors, and batches that the server joins."""
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
        *(_triton_tensor("input", value) for value in graph.inputs),
        *(_triton_tensor("output", value) for value in graph.outputs),
        "dynamic_batching { }",
    ]
    return "\n".join(lines) + "\n"


def _triton_tensor(kind: str, value: ir.Value) -> str:
    assert value.shape is not None
    assert value.dtype is not None
    sample = [str(dim) for dim in value.shape[1:]]
    # Triton knows no tensor without an axis besides the batch.
    bare = "" if sample else " reshape { shape: [ ] }"
    dims, dtype = ", ".join(sample or ["1"]), TRITON_TYPES[value.dtype]
    return f'{kind} [ {{ name: "{value.name}" data_type: {dtype} dims: [ {dims} ]{bare} }} ]'


WRITERS: dict[str, Writer] = {"out": write_file, "triton": write_triton, "web": write_web}
