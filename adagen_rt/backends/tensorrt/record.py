"""The record of a set of plans, and the checks of plans against it.

A set is a folder named after its backend: one plan per graph, and `record.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from adagen_rt.backends.tensorrt.modules import PORTABLE
from adagen_rt.engine.folder import sha256
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import Dtype, FileName, Sha256
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import PlanError
from adagen_rt.types import Spec

RECORD, TIMINGS = "record.json", "timing.cache"
#: Largest record in bytes; a real one names a few graphs and is far smaller.
MAX_RECORD_BYTES = 1 << 20

Size = Annotated[int, Field(ge=0, le=1 << 30)]


class PlanSpec(Spec):
    """One plan.

    Attributes:
        sources: SHA-256 of the ONNX file that it was built from, and of its weights' file.
        profiles: Shapes of the inputs, for each optimisation profile.
    """

    sources: dict[FileName, Sha256]
    profiles: tuple[dict[str, tuple[Size, ...]], ...] = Field(min_length=1)


class Record(Spec):
    """The whole of ``record.json``.

    Attributes:
        format: Version of this schema.
        backend: ``tensorrt`` or ``tensorrt-rtx``.
        version: Version of the module that built the plans.
        target: Compute capability that they are for, or ``portable``.
        dtype: Precision of the matrix products.
        batches: Samples of each batch bucket.
        plans: The plan of each graph.
        files: SHA-256 of every other file in the folder.
    """

    format: Literal[1] = 1
    backend: Literal["tensorrt", "tensorrt-rtx"]
    version: str = Field(max_length=100)
    target: str = Field(pattern=r"^(portable|\d{1,2}\.\d)$")
    dtype: Dtype
    batches: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    plans: dict[FileName, PlanSpec]
    files: dict[FileName, Sha256]


def plan_file(graph: str) -> str:
    """Return the name of a graph's plan inside the folder."""
    return f"{graph}.plan"


def read_record(folder: Path) -> Record:
    """Read the record of the plans in a folder that is named after the backend.

    Raises:
        PlanError: The record is missing, not valid, or of another backend.
    """
    path = folder / RECORD
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            raise PlanError(f"{path}: larger than {MAX_RECORD_BYTES} bytes, not a record")
        record = Record.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no such file") from None
    except ValidationError as error:
        raise PlanError(f"{path}: {describe_faults(error)}") from None
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path}: not valid JSON ({error})") from None
    if record.backend != folder.name:
        raise PlanError(f"{path}: backend: got {record.backend!r}, expected {folder.name!r}")
    return record


def write_record(folder: Path, record: Record) -> None:
    """Write ``record.json``."""
    text = record.model_dump_json(indent=2) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")


def mismatches(
    record: Record, manifest: Manifest, version: str | None, capability: str | None
) -> Iterator[str]:
    """List the differences between a record and the engine, module and GPU of its use.

    Args:
        record: Record of the plans.
        manifest: The engine's current manifest.
        version: Version of the installed module; None skips the comparison.
        capability: Compute capability of the GPU; None skips the comparison.
    """
    for graph in manifest.graphs:
        if graph not in record.plans:
            yield f"there is no plan of {graph}"
    for graph, plan in record.plans.items():
        for name, built in plan.sources.items():
            if manifest.files.get(name) != built:
                yield f"{name} is not what the plan of {graph} was built from"
    if version is not None and version != record.version:
        yield f"built by {record.backend} {record.version}, and {version} is installed"
    if capability is not None and record.target not in (PORTABLE, capability):
        yield f"built for compute capability {record.target}, and this GPU has {capability}"


def read_plan(folder: Path, record: Record, graph: str) -> bytes:
    """Read the plan of a graph and check its hash.

    Raises:
        PlanError: The plan is missing, or differs from the built one.
    """
    path = folder / plan_file(graph)
    if path.is_symlink() or not path.is_file():
        raise PlanError(f"{path}: not a regular file in the folder")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.files.get(path.name):
        raise PlanError(f"{path}: it was altered or cut short since it was built")
    return content


def damage(folder: Path, record: Record) -> Iterator[str]:
    """List the plans of a set that are missing or have changed since they were built."""
    for graph in record.plans:
        path = folder / plan_file(graph)
        if path.is_symlink() or not path.is_file():
            yield f"{path.name} is not a regular file in the folder"
        elif sha256(path) != record.files.get(path.name):
            yield f"{path.name} was altered or cut short"
