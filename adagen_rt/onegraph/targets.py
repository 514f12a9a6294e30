"""Where a model may go: a file, a model repository of Triton, or a page for browsers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from adagen_rt.engine.bundle import files_of
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.files import check_addable, staged_files
from adagen_rt.onegraph.web import check_web, write_web
from adagen_rt.onegraph.write import check_bundle, refuse_apart, write_bundle
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.triton_config import CONFIG, JOINED, model_config, tensor_line

#: Writes an engine's model to a path and returns the files.
Writer = Callable[..., list[Path]]
#: The model within its folder of a repository.
MODEL = "1/model.onnx"
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
    """Write ``NAME.onnx``, or a folder of three; options are those of `write_bundle`."""
    write_bundle(engine, out, params, **options)
    return sorted(out.iterdir()) if out.is_dir() else files_of(out)


def write_triton(
    engine: EngineFolder, folder: Path, params: SamplingParams, **options: Any
) -> list[Path]:
    """Write a model of a repository for Triton's onnxruntime backend: ``NAME/1`` and its config.

    Args:
        engine: The engine, whose name is the model's. Tokenizers of one of prompts lie beside the
            configuration, for clients: the model takes token ids.
        folder: The repository; models of other names stay.
        params: Sampling parameters.
        **options: Those of `write_bundle`.
    """
    check_triton(engine, folder, params, **options)
    model = folder / engine.manifest.name
    beside = {name: (engine.path / name).read_bytes() for name in engine.manifest.condition.files}
    with staged_files(model) as staging:
        write_bundle(engine, staging / MODEL, params, **options)
        graph = ir.load(staging / MODEL).graph
        beside[CONFIG] = triton_config(engine.manifest.name, graph).encode()
        for file, content in beside.items():
            (staging / file).write_bytes(content)
    return [*files_of(model / MODEL), *(model / file for file in beside)]


def check_triton(
    engine: EngineFolder, folder: Path, params: SamplingParams, **options: Any
) -> None:
    """Check what `write_triton` is asked for.

    Raises:
        InputError: A model of Triton cannot do it, or something else lies in its place.
    """
    refuse_apart("triton", options.get("form"))
    model = folder / engine.manifest.name
    check_addable(model, CONFIG, "triton")
    check_bundle(engine, model / MODEL, params, **options)


def triton_config(name: str, graph: ir.Graph) -> str:
    """Write the configuration of a model: its tensors, and batches that the server joins."""
    sides = (("input", graph.inputs), ("output", graph.outputs))
    tensors = [_triton_tensor(side, value) for side, values in sides for value in values]
    return model_config(name, "onnxruntime", MAX_BATCH, [*tensors, JOINED])


def _triton_tensor(side: str, value: ir.Value) -> str:
    assert value.shape is not None
    assert value.dtype is not None
    dims = [str(dim) for dim in value.shape[1:]]
    return tensor_line(side, str(value.name), TRITON_TYPES[value.dtype], dims)


#: Checks what a writer is asked for, without writing anything.
CHECKS: dict[str, Callable[..., object]] = {
    "out": check_bundle,
    "triton": check_triton,
    "web": check_web,
}
WRITERS: dict[str, Writer] = {"out": write_file, "triton": write_triton, "web": write_web}
