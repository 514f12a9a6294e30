"""What `generate` says about a run: a summary, and the trace of its decisions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from adagen_rt.cli.files import replace_file
from adagen_rt.manifest import Manifest
from adagen_rt.result import Result


def failures(result: Result) -> list[dict[str, int]]:
    """Samples that met a non-finite number, each with the step it did so."""
    return [
        {"index": i, "label": int(result.labels[i]), "seed": int(result.seeds[i]), "step": step}
        for i, step in sorted(result.failures.items())
    ]


def summarize(
    manifest: Manifest, result: Result, steps: int, total: float, files: list[Path]
) -> dict[str, Any]:
    """The run as one JSON object.

    Args:
        manifest: The engine's.
        result: What was generated.
        steps: Steps of a full generation.
        total: Seconds from the first step to the last image.
        files: What was written.
    """
    return {
        "engine": manifest.name,
        "steps": steps,
        "labels": result.labels.tolist(),
        "seeds": result.seeds.tolist(),
        "failures": failures(result),
        "seconds": {"total": total, **result.timings.seconds},
        "backbone_rows": result.timings.backbone_rows,
        "files": [str(path) for path in files],
    }


def describe(summary: dict[str, Any], shown: list[Path]) -> str:
    """The same in words."""
    seconds = dict(summary["seconds"])
    total = seconds.pop("total")
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    made = len(summary["labels"]) - len(summary["failures"])
    written = ", ".join(str(path) for path in shown)
    return f"{made} images in {total:.2f} s ({parts})\nwritten: {written or 'nothing'}"


def save_trace(path: Path, manifest: Manifest, result: Result, steps: int) -> None:
    """Write what was chosen for every sample at every policy call, null where none was."""
    samples = [
        {
            "index": i,
            "label": int(result.labels[i]),
            "seed": int(result.seeds[i]),
            "failed_at_step": result.failures.get(i),
            "actions": {
                name: [value if math.isfinite(value) else None for value in values[:, i].tolist()]
                for name, values in result.schedule.items()
            },
        }
        for i in range(len(result.labels))
    ]
    content = {"engine": manifest.name, "steps": steps, "samples": samples}
    replace_file(path, lambda temporary: temporary.write_text(json.dumps(content) + "\n"))
