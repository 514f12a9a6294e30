"""The TensorRT plans of an engine, for `inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adagen_rt.backends.gpu import compute_capability
from adagen_rt.backends.tensorrt.modules import MODULES
from adagen_rt.backends.tensorrt.places import find_folder
from adagen_rt.backends.tensorrt.record import (
    Record,
    damage,
    mismatches,
    read_record,
)
from adagen_rt.cli.support.tables import quantity
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import AdagenError, DeviceError, PlanError

Description = dict[str, Any]


def describe_plans(engine: EngineFolder, root: Path | None = None) -> list[Description]:
    """Describe every set of plans, and the reasons why it is stale on this machine.

    Args:
        engine: The engine.
        root: A folder that ``build --out`` wrote; None looks where plans are usually found.
    """
    folders = (find_folder(engine, backend, root) for backend in MODULES)
    return [_describe(engine, folder) for folder in folders if folder.is_dir()]


def plan_rows(sets: Sequence[Description]) -> list[tuple[str, ...]]:
    """Make a table's rows: backend, version, target, dtype, batches, profiles, size, state."""
    rows = []
    for described in sets:
        record = described.get("record")
        told: tuple[str, ...] = ("",) * 5
        if record:
            profiles = sum(len(plan["profiles"]) for plan in record["plans"].values())
            batches = " ".join(str(batch) for batch in record["batches"])
            told = (record["version"], record["target"], record["dtype"], batches, str(profiles))
        size = f"{quantity(described['bytes'])}B"
        state = "; ".join(described["faults"])
        rows.append((described["backend"], *told, size, f"stale: {state}" if state else "current"))
    return rows


def _describe(engine: EngineFolder, folder: Path) -> Description:
    described: Description = {
        "backend": folder.name,
        "path": str(folder),
        "bytes": sum(path.stat().st_size for path in folder.iterdir()),
    }
    try:
        record = read_record(folder)
    except PlanError as error:
        return {**described, "faults": [str(error)]}
    faults = [*_mismatches(record, engine), *damage(folder, record)]
    return {**described, "record": record.model_dump(mode="json"), "faults": faults}


def _mismatches(record: Record, engine: EngineFolder) -> Iterator[str]:
    """List the mismatches that this machine can find; another machine may run the plans."""
    module, capability, version = MODULES[record.backend], _capability(), None
    try:
        version = module.load().__version__
        if capability is not None:
            module.check_capability(capability)
    except AdagenError as error:
        yield str(error)
    yield from mismatches(record, engine.manifest, version, capability)


def _capability() -> str | None:
    """Return the compute capability of the GPU, or None."""
    try:
        return compute_capability()
    except DeviceError:
        return None
