"""Reports of `generate`: a summary of the run, and the trace of its decisions."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adagen_rt.engine.manifest import Manifest
from adagen_rt.files import replace_file
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result


def failures(manifest: Manifest, result: Result) -> list[dict[str, Any]]:
    """List the samples that met a non-finite number, each with the step of the failure."""
    return [
        {
            "index": i,
            **manifest.condition.describe(result.rows, i),
            "seed": int(result.seeds[i]),
            "step": step,
        }
        for i, step in sorted(result.failures.items())
    ]


def summarize(
    manifest: Manifest, result: Result, request: Request, total: float, files: list[Path]
) -> dict[str, Any]:
    """Summarize the run as one JSON object.

    Args:
        manifest: The engine's.
        result: The run's result.
        request: The run's request.
        total: Seconds from the first step to the last image.
        files: The files written.
    """
    return {
        "engine": manifest.name,
        **_asked(request),
        **{name: values.tolist() for name, values in result.rows.items()},
        "seeds": result.seeds.tolist(),
        "fidelity": request.fidelity.tolist(),
        "rewards": [_reward(result, i) for i in range(len(result))],
        "failures": failures(manifest, result),
        "seconds": {"total": total, **result.timings.seconds},
        "backbone_rows": result.timings.backbone_rows,
        "files": [str(path) for path in files],
    }


def describe(summary: dict[str, Any], shown: list[Path]) -> str:
    """Format a summary in words."""
    seconds = dict(summary["seconds"])
    total = seconds.pop("total")
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items())
    made = len(summary["seeds"]) - len(summary["failures"])
    written = ", ".join(str(path) for path in shown)
    return f"{made} images in {total:.2f} s ({parts})\nwritten: {written or 'nothing'}"


def save_trace(path: Path, manifest: Manifest, result: Result, request: Request) -> None:
    """Write the actions of every sample at every policy call, null where it needed none."""
    samples = [
        {
            "index": i,
            **manifest.condition.describe(result.rows, i),
            "seed": int(result.seeds[i]),
            "fidelity": float(request.fidelity[i]),
            "reward": _reward(result, i),
            "failed_at_step": result.failures.get(i),
            "actions": {
                name: [_finite(value) for value in values[:, i].tolist()]
                for name, values in result.schedule.items()
            },
        }
        for i in range(len(result))
    ]
    content = {"engine": manifest.name, **_asked(request), "samples": samples}
    replace_file(
        path, lambda temporary: temporary.write_text(f"{json.dumps(content)}\n", encoding="utf-8")
    )


def _asked(request: Request) -> dict[str, Any]:
    """Return the parameters that all samples have in common."""
    asked = asdict(request.params)
    del asked["fidelity"]  # each sample has its own
    return asked


def _reward(result: Result, index: int) -> float | None:
    return None if result.rewards is None else _finite(float(result.rewards[index]))


def _finite(value: float) -> float | None:
    """Convert a number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
