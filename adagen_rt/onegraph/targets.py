"""Where a model may go: a file, or a model repository of Triton."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from adagen_rt.engine.bundle import BundleFacts, BundleFile, open_bundle
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable, staged_files
from adagen_rt.onegraph.write import write_bundle
from adagen_rt.sampling.params import SamplingParams

#: Writes an engine's model to a path and returns the files.
Writer = Callable[..., list[Path]]
#: Samples that Triton joins in one run.
MAX_BATCH = 64
TRITON_TYPES = {"int64": "TYPE_INT64", "float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}


def write_file(
    engine: EngineFolder, out: Path, params: SamplingParams, **options: Any
) -> list[Path]:
    """Write ``NAME.onnx``; options are those of `write_bundle`."""
    write_bundle(engine, out, params, **options)
    return _files(open_bundle(out))


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
    write_bundle(engine, version / "model.onnx", params, **options)
    written = open_bundle(version / "model.onnx")
    with staged_files(model) as staging:
        text = triton_config(engine.manifest.name, written)
        (staging / "config.pbtxt").write_text(text, encoding="utf-8")
    return [*_files(written), model / "config.pbtxt"]


def triton_config(name: str, bundle: BundleFile) -> str:
    """Write the configuration of a model: its tensors, and batches that the server joins."""
    inputs, outputs = describe_tensors(bundle)
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {MAX_BATCH}",
        *(_triton_tensor("input", *tensor) for tensor in inputs.items()),
        *(_triton_tensor("output", *tensor) for tensor in outputs.items()),
        "dynamic_batching { }",
    ]
    return "\n".join(lines) + "\n"


Tensors = dict[str, tuple[str, tuple[int, ...]]]


def describe_tensors(bundle: BundleFile) -> tuple[Tensors, Tensors]:
    """Return dtype and shape of a sample's part, of each input and of each output."""
    manifest, facts = bundle.manifest, bundle.facts
    inputs: Tensors = {
        name: (row.dtype, row.shape) for name, row in manifest.condition.tensors.items()
    }
    inputs["seeds"] = ("int64", ())
    if facts.fidelity_input:
        inputs["fidelity"] = ("float32", ())
    image = manifest.image
    outputs: Tensors = {
        "images": ("uint8", (image.size, image.size, image.channels)),
        "schedule": ("float32", (_calls(bundle, facts), len(facts.actions))),
        "failed": ("int64", ()),
    }
    if facts.best_of > 1:
        outputs |= {"rewards": ("float32", ()), "kept_seeds": ("int64", ())}
    return inputs, outputs


def _calls(bundle: BundleFile, facts: BundleFacts) -> int:
    return bundle.manifest.family.calls(facts.steps)


def _triton_tensor(kind: str, name: str, tensor: tuple[str, tuple[int, ...]]) -> str:
    dtype, shape = tensor
    dims = ", ".join(map(str, shape or (1,)))
    # Triton knows no tensor without an axis besides the batch.
    bare = "" if shape else " reshape { shape: [ ] }"
    return (
        f'{kind} [ {{ name: "{name}" data_type: {TRITON_TYPES[dtype]} dims: [ {dims} ]{bare} }} ]'
    )


def _files(bundle: BundleFile) -> list[Path]:
    return [bundle.path.parent / name for name in bundle.sizes]


WRITERS: dict[str, Writer] = {"out": write_file, "triton": write_triton}
