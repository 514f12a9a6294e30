"""The record of a job, beside its shards, which refuses shards of another job."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from adagen_rt.backends import DEVICE_BACKENDS, Execution
from adagen_rt.backends.gpu import compute_capability
from adagen_rt.bulk.plan import Plan
from adagen_rt.bulk.targets import Target
from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import DeviceError, InputError
from adagen_rt.system import cpu_features, installed_versions

RECORD = "bulk.json"
#: What may change the last bits of an image, and nothing else of it.
SURROUNDINGS = ("processor", "versions")
#: Options that one of a record's fields comes from, where it has another name.
OPTIONS = {"asked": "label, from or negative-prompt"}

Record = dict[str, Any]


def describe_job(engine: EngineFolder, plan: Plan, kind: str, execution: Execution) -> Record:
    """List everything that decides a job's shards, byte for byte."""
    asked = json.dumps(plan.asked, default=asdict).encode()
    options = {"count": plan.count, "shard-size": plan.size, "seed": plan.seed, "format": kind}
    params = {name.replace("_", "-"): value for name, value in asdict(plan.params).items()}
    return {
        "engine": engine.manifest.name,
        "engine_hash": engine.hash,
        "backend": execution.backend,
        "provider": execution.provider,
        "precision": execution.precision,
        **options,
        **params,
        "asked": f"{len(plan.asked)} in turn, {hashlib.sha256(asked).hexdigest()[:16]}",
        "processor": _processor(execution.backend, execution.provider),
        "versions": _versions(engine.manifest, execution.backend),
    }


def _processor(backend: str, provider: str | None) -> str:
    """Name what computes: the architecture, its notable instructions, and a GPU's generation."""
    words = [platform.machine(), *cpu_features()]
    if backend in DEVICE_BACKENDS or provider not in (None, "cpu"):
        with suppress(DeviceError):
            words.append(f"GPU {compute_capability()}")
    return " ".join(words)


def _versions(manifest: Manifest, backend: str) -> dict[str, str]:
    """Find the versions of packages that have a part in an image, where they are installed."""
    reader = () if isinstance(manifest.condition, ClassLabels) else ("tokenizers",)
    return installed_versions("adagen-rt", "numpy", backend, f"{backend}-gpu", *reader)


def settle(target: Target, record: Record, mixed: bool) -> None:
    """Leave a job's record beside its shards, or compare it with the one that is there.

    Args:
        target: Where the shards are.
        record: This job's.
        mixed: Whether another processor or other versions are all right.

    Raises:
        InputError: The shards there are, or will be, those of another job.
    """
    text = (json.dumps(record, indent=2) + "\n").encode()
    there = target.claim(RECORD, text)
    if there == text:
        return
    try:
        other = json.loads(there)
    except ValueError:
        other = None
    if not isinstance(other, dict):
        raise InputError("out", str(target), f"a {RECORD} of adagen-rt bulk, or another folder")
    for name in record.keys() | other.keys():
        if record.get(name) != other.get(name) and not (mixed and name in SURROUNDINGS):
            way = "--mixed, or another --out" if name in SURROUNDINGS else "or another --out"
            expected = f"{other.get(name)!r}, as {target}/{RECORD} has it; {way}"
            raise InputError(OPTIONS.get(name, name), record.get(name), expected)
