"""Images as KServe's tensors: what an engine is asked for, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine, Image, Progress
from adagen_rt.serving.http.tensors import InferRequest

MODEL_VERSION = "1"
#: Outputs that come only on request.
SPECIAL_OUTPUTS = ("step", "steps", "schedule")


def condition_name(manifest: Manifest) -> str:
    """Name the input that says what each image is of."""
    return "label" if isinstance(manifest.condition, ClassLabels) else "prompt"


def usual_outputs(manifest: Manifest) -> tuple[str, ...]:
    """List the outputs of a request that names none; a prompt is not sent back."""
    label = ("label",) if condition_name(manifest) == "label" else ()
    return ("image", *label, "seed")


def read_wishes(
    manifest: Manifest, asked: InferRequest, values: dict[str, list[Any]]
) -> list[dict[str, Any]]:
    """Read what each image is of, as arguments of `BatchEngine.submit`.

    Args:
        manifest: The engine's.
        asked: The request.
        values: Values of its inputs besides the seeds.

    Raises:
        InputError: An input is missing, unknown, or has another number of values.
    """
    name = condition_name(manifest)
    values = dict(values)
    given, negatives = values.pop(name, None), None
    if name == "prompt":
        negatives = values.pop("negative_prompt", None)
    if given is None or values:
        got = ", ".join(tensor.name for tensor in asked.inputs)
        more = "" if name == "label" else "negative_prompt and "
        raise InputError("inputs", got[:80], f"{name}, and perhaps {more}seed")
    if negatives is None:
        return [asked.parameters.wish(**{name: one}) for one in given]
    if asked.parameters.negative_prompt is not None:
        raise InputError("negative_prompt", "an input and a parameter", "one of them")
    if len(negatives) != len(given):
        expected = f"{len(given)}, as of prompt"
        raise InputError("inputs.negative_prompt", f"{len(negatives)} values", expected)
    pairs = zip(given, negatives, strict=True)
    return [
        {**asked.parameters.wish(prompt=one), "negative_prompt": negative}
        for one, negative in pairs
    ]


def choose_outputs(manifest: Manifest, asked: InferRequest) -> tuple[tuple[str, ...], set[str]]:
    """Choose the requested outputs, and those of them that go in binary."""
    usual, all_binary = usual_outputs(manifest), asked.parameters.binary_data_output
    if asked.outputs is None:
        return usual, set(usual) if all_binary else set()
    names = tuple(output.name for output in asked.outputs)
    known = (*usual, *SPECIAL_OUTPUTS)
    seen = set[str]()
    for name in names:
        if name not in known or name in seen:
            raise InputError("outputs", name[:80], f"some of {', '.join(known)}, each once")
        seen.add(name)
    binary = set()
    for output in asked.outputs:
        wanted = output.parameters.binary_data
        if all_binary if wanted is None else wanted:
            binary.add(output.name)
    return names, binary


def output_arrays(
    manifest: Manifest, images: Sequence[Image], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Make the arrays of some outputs."""
    actions = manifest.schedule.names
    make: dict[str, Callable[[], np.ndarray]] = {
        "image": lambda: np.stack([image.pixels for image in images]),
        "label": lambda: np.array([image.label for image in images], np.int64),
        "seed": lambda: np.array([image.seed for image in images], np.int64),
        "step": lambda: np.array([image.steps for image in images], np.int32),
        "steps": lambda: np.array([image.steps for image in images], np.int32),
        "schedule": lambda: np.stack(
            [np.stack([image.schedule[name] for name in actions], axis=-1) for image in images]
        ),
    }
    return {name: make[name]() for name in names}


def preview_arrays(manifest: Manifest, progress: Progress) -> dict[str, np.ndarray]:
    """Make the arrays of an image under way, as of a batch of one."""
    actions = [progress.schedule[name] for name in manifest.schedule.names]
    return {
        "image": progress.preview[None],
        "step": np.array([progress.step], np.int32),
        "steps": np.array([progress.steps], np.int32),
        "schedule": np.stack(actions, axis=-1)[None],
    }


def describe_model(engine: BatchEngine) -> dict[str, Any]:
    """Describe the tensors of an engine."""
    manifest, label = engine.manifest, _tensor("label", "INT64", [-1])
    image, actions = manifest.image, len(manifest.schedule.actions)
    by_class = condition_name(manifest) == "label"
    texts = [_tensor(name, "BYTES", [-1]) for name in ("prompt", "negative_prompt")]
    seed = _tensor("seed", "INT64", [-1])
    return {
        "name": engine.name,
        "versions": [MODEL_VERSION],
        "platform": "adagen_rt",
        "inputs": [*([label] if by_class else texts), seed],
        "outputs": [
            _tensor("image", "UINT8", [-1, *_sides(manifest), image.channels]),
            *([label] if by_class else []),
            seed,
            _tensor("step", "INT32", [-1]),
            _tensor("steps", "INT32", [-1]),
            _tensor("schedule", "FP32", [-1, -1, actions]),
        ],
    }


def _sides(manifest: Manifest) -> list[int]:
    """Height and width of an engine's images, or -1 where it has several."""
    return [*manifest.image.size] if manifest.sizes is None else [-1, -1]


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}
