"""What was found of a machine's throughput, kept for who serves the same engine on it."""

from __future__ import annotations

import json
from pathlib import Path

from adagen_rt.backends.onnxruntime.session import PACKAGES
from adagen_rt.evaluation.throughput import Rate, Split
from adagen_rt.files import replace_file
from adagen_rt.system import (
    available_threads,
    cache_folder,
    installed_versions,
    processor_name,
)

#: The file in the package's cache.
FILE = "throughput.json"


def keep_rate(engine_hash: str, rate: Rate) -> None:
    """Keep the best rate of an engine on this machine; a cache that cannot be written is left."""
    path = cache_folder() / FILE
    entry = [*vars(rate.split).values(), rate.batch, rate.images_per_second]
    kept = {**_read(path), _key(engine_hash): entry}
    text = json.dumps(kept, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except OSError:
        return


def find_rate(engine_hash: str) -> Rate | None:
    """Find the best rate of an engine on this machine, with as many threads as there are now."""
    try:
        processes, threads, batch, rate = _read(cache_folder() / FILE)[_key(engine_hash)]
        return Rate(Split(int(processes), int(threads)), int(batch), float(rate))
    except (KeyError, ValueError, TypeError):
        return None


def _key(engine_hash: str) -> str:
    """Name all that a rate depends on: the engine, the programs that run it, and the machine."""
    versions = installed_versions("adagen-rt", *PACKAGES)
    programs = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{engine_hash} by {programs} on {available_threads()} threads of {processor_name()}"


def _read(path: Path) -> dict[str, list[float]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
