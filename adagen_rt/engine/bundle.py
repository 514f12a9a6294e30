"""A whole generation in one ONNX file, and what the file says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import onnx
from google.protobuf.message import DecodeError
from pydantic import Field, ValidationError

from adagen_rt.engine.folder import EngineFolder, open_engine, sha256
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import EngineError, InputError
from adagen_rt.types import Spec

SUFFIX = ".onnx"
#: ``loop`` repeats one step, ``unrolled`` has every step, ``step`` has one that the host repeats.
Form = Literal["loop", "unrolled", "step"]
#: ``onnxruntime`` has the fewest operators, ``tensorrt`` those that TensorRT has.
Dialect = Literal["onnxruntime", "tensorrt"]
#: Key of the model's metadata that has the rest as JSON; the condition's files follow it.
KEY = "adagen_rt"


class BundleFacts(Spec):
    """What a file says of itself.

    Attributes:
        version: Version of the package that wrote it.
        engine_hash: SHA-256 of the engine's manifest.
        form: ``loop``, ``unrolled`` or ``step``.
        steps: Backbone evaluations; the most, where each sample's number is an input.
        schedule: Who chooses the parameters of a step.
        best_of: Images made of each sample.
        dialect: What it was written for.
        fidelity_input: Whether ``fidelity`` is an input.
        steps_input: Whether ``steps`` is an input.
        actions: Columns of the output ``schedule``.
        checked: How far its images are from the runtime's, as measured when it was written.
        manifest: The engine's manifest, of the graphs and the schedule that the file has.
    """

    version: str
    engine_hash: str
    form: str
    steps: int = Field(ge=1)
    schedule: Literal["policy", "static", "tuned"]
    best_of: int = Field(ge=1)
    dialect: Dialect = "onnxruntime"
    fidelity_input: bool
    steps_input: bool = False
    actions: tuple[str, ...]
    checked: dict[str, Any]
    manifest: dict[str, Any]


@dataclass(frozen=True)
class BundleFile(EngineFolder):
    """A file that has been read as far as its metadata.

    Attributes:
        facts: What it says of itself; `hash` is that of the whole file.
    """

    facts: BundleFacts = field(kw_only=True)

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file by name."""
        return {path.name: path.stat().st_size for path in files_of(self.path)}


def files_of(path: Path) -> list[Path]:
    """List a file and, where its weights are large, the one that has them."""
    weights = path.with_name(f"{path.name}.data")
    return [path, *([weights] if weights.is_file() else [])]


def open_bundle(path: Path) -> BundleFile:
    """Read a file's metadata; its weights are not loaded.

    Raises:
        EngineError: It is no ONNX model, or none that `adagen-rt bundle` wrote.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise EngineError(f"{path}: not an ONNX model ({error})") from None
    texts = {prop.key: prop.value for prop in model.metadata_props}
    if KEY not in texts:
        raise EngineError(f"{path}: not written by adagen-rt bundle; an engine is a folder")
    try:
        facts = BundleFacts.model_validate_json(texts[KEY])
        manifest = Manifest.model_validate(facts.manifest).fixed_to(facts.schedule)
    except ValidationError as error:
        raise EngineError(f"{path}: metadata: {describe_faults(error)}") from None
    files = {name: texts.get(file_key(name), "") for name in manifest.condition.files}
    return BundleFile(path, manifest.within(files), sha256(path), facts=facts)


def open_folder(name_or_path: str | Path) -> EngineFolder:
    """Open an engine whose graphs are wanted one by one.

    Raises:
        InputError: It is a whole generation in one file.
    """
    return parts_of(open_engine(name_or_path))


def parts_of(engine: EngineFolder) -> EngineFolder:
    """Return an engine that has graphs of its own; `open_folder` says the rest."""
    if isinstance(engine, BundleFile):
        expected = "an engine's folder: this is one model already"
        raise InputError("engine", str(engine.path), expected)
    return engine


def file_key(name: str) -> str:
    """Return the key of the metadata that has a file of the condition, such as a tokenizer."""
    return f"{KEY}/{name}"


def append_facts(path: Path, facts: BundleFacts, files: Mapping[str, str]) -> None:
    """Add metadata to a model that has none, without a look at its weights.

    Args:
        path: The model.
        facts: What it says of itself.
        files: Contents of the condition's files, by name.
    """
    texts = {KEY: json.dumps(facts.model_dump(mode="json"))}
    texts |= {file_key(name): content for name, content in files.items()}
    added = onnx.ModelProto()
    for key, value in texts.items():
        added.metadata_props.add(key=key, value=value)
    # Protobuf joins the lists of messages that follow each other.
    with path.open("ab") as file:
        file.write(added.SerializeToString())
