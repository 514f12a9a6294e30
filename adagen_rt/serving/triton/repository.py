"""A model repository of Triton: two models an engine, and their configurations.

``NAME`` answers with every preview that is asked for and with the image, and joins what is under
way step by step; ``NAME-batch`` answers once, in batches that the server joins.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.files import check_addable, staged_files
from adagen_rt.sampling.params import ROWS
from adagen_rt.triton_config import CONFIG, JOINED, model_config, tensor_line

BATCH_SUFFIX = "-batch"
#: Triton's names of the types of options.
TYPES = {int: "TYPE_INT64", float: "TYPE_FP32", str: "TYPE_STRING"}
MODEL = '"""{text}"""\n\nfrom adagen_rt.serving.triton.models import {name} as TritonPythonModel\n'
#: Parameters that the models read.
ENGINE, THREADS, SLOTS, QUEUE = "engine", "threads", "max_batch", "max_queue"
SIDE = "max_side"


@dataclass(frozen=True)
class ModelOptions:
    """What both models of an engine are told; the server's owner may edit it in the files.

    Attributes:
        threads: CPU threads of an instance; None takes all that its process may use.
        slots: Samples that an instance has under way at once.
        queue: Requests that can wait for a slot.
        instances: Copies of the engine, each a process.
        side: Longest side of images, in pixels, of an engine that has several sizes; None for what
            the engine has.
    """

    threads: int | None = None
    slots: int = 16
    queue: int = 64
    instances: int = 1
    side: int | None = None

    def parameters(self, engine: str) -> dict[str, str]:
        """List the parameters of a configuration."""
        given = {ENGINE: engine, SLOTS: str(self.slots), QUEUE: str(self.queue)}
        limits = {THREADS: self.threads, SIDE: self.side}
        return given | {name: str(limit) for name, limit in limits.items() if limit is not None}


def condition_inputs(manifest: Manifest) -> tuple[str, ...]:
    """Name the inputs that say what an image is of; the first is required."""
    return ("prompt", "negative_prompt") if takes_prompts(manifest) else ("label",)


def takes_prompts(manifest: Manifest) -> bool:
    """Whether an engine takes texts and no classes."""
    return not isinstance(manifest.condition, ClassLabels)


def write_repository(
    engines: list[tuple[str, EngineFolder]], folder: Path, options: ModelOptions
) -> list[Path]:
    """Write the models of engines; models of other names stay.

    Args:
        engines: What each server process opens, a path or the name of a shipped engine, and the
            engine that was opened here.
        folder: The repository.
        options: What the models are told.

    Returns:
        The models' folders.

    Raises:
        InputError: Two engines have one name, or something else lies in a model's place.
    """
    names = [engine.manifest.name for _, engine in engines]
    for name in names:
        if names.count(name) > 1:
            raise InputError("engine", name, "engines of different names")
    models = [
        (folder / f"{name}{suffix}", text, kind)
        for (given, engine), name in zip(engines, names, strict=True)
        for suffix, kind, text in (
            ("", "StreamModel", stream_config(engine.manifest, given, options)),
            (BATCH_SUFFIX, "BatchModel", batch_config(engine.manifest, given, options)),
        )
    ]
    for model, _, _ in models:
        check_addable(model, CONFIG, "out")
    for model, text, kind in models:
        _write(model, text, kind)
    return [model for model, _, _ in models]


def _write(model: Path, config: str, kind: str) -> None:
    about = f"What Triton's Python backend runs for {model.name}."
    texts = {"1/model.py": MODEL.format(text=about, name=kind), CONFIG: config}
    with staged_files(model) as staging:
        (staging / "1").mkdir()
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")


def stream_config(manifest: Manifest, engine: str, options: ModelOptions) -> str:
    """Write the configuration of the model that answers step by step."""
    actions, size = len(manifest.schedule.names), _image_dims(manifest)
    tensors = [
        *_inputs(manifest),
        tensor_line("input", "preview_every", "TYPE_INT64", [1], optional=True),
        tensor_line("output", "image", "TYPE_UINT8", size),
        *(tensor_line("output", name, "TYPE_INT64", [1]) for name in ("seed", "step", "steps")),
        tensor_line("output", "schedule", "TYPE_FP32", [-1, actions]),
        *_cut(manifest),
    ]
    policy = "model_transaction_policy { decoupled: true }"
    return _config(manifest.name, 0, tensors, policy, engine, options)


def batch_config(manifest: Manifest, engine: str, options: ModelOptions) -> str:
    """Write the configuration of the model that answers once."""
    actions, size = len(manifest.schedule.names), _image_dims(manifest)
    tensors = [
        *_inputs(manifest),
        tensor_line("output", "image", "TYPE_UINT8", size),
        tensor_line("output", "seed", "TYPE_INT64", [1]),
        tensor_line("output", "schedule", "TYPE_FP32", [-1, actions]),
        *_cut(manifest),
    ]
    name = manifest.name + BATCH_SUFFIX
    return _config(name, options.slots, tensors, JOINED, engine, options)


def _image_dims(manifest: Manifest) -> list[int]:
    """Sizes of an image; -1 where an engine has several."""
    sides = [*manifest.image.size] if manifest.sizes is None else [-1, -1]
    return [*sides, manifest.image.channels]


def _cut(manifest: Manifest) -> list[str]:
    """Describe the output that names the part of a prompt that was not read."""
    return [tensor_line("output", "cut", "TYPE_STRING", [1])] if takes_prompts(manifest) else []


def _inputs(manifest: Manifest) -> list[str]:
    required, *more = condition_inputs(manifest)
    names = dict.fromkeys(more, "TYPE_STRING") | {"seed": "TYPE_INT64"}
    names |= {"strict": "TYPE_BOOL"} if takes_prompts(manifest) else {}
    names |= {name: TYPES[row.kind] for name, row in ROWS.items()}
    first = tensor_line("input", required, "TYPE_STRING", [1])
    rest = [tensor_line("input", name, kind, [1], optional=True) for name, kind in names.items()]
    return [first, *rest]


def _config(
    name: str, batch: int, tensors: list[str], policy: str, engine: str, options: ModelOptions
) -> str:
    copies = f"instance_group [ {{ count: {options.instances} kind: KIND_CPU }} ]"
    told = options.parameters(engine)
    return model_config(name, "python", batch, [*tensors, copies, policy], told)
