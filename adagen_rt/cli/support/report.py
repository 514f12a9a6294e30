"""Reports of `generate`: a summary of the run, and the trace of its decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adagen_rt.cli.support.made import Facts, Made
from adagen_rt.cli.support.metadata import sample_facts
from adagen_rt.files import replace_file


def failures(made: Made) -> list[dict[str, Any]]:
    """List the samples that met a non-finite number, each with the step it did so."""
    return [
        {
            "index": int(made.numbers[i]),
            **made.manifest.condition.describe(made.request.rows, i),
            "seed": int(made.result.seeds[i]),
            "step": step,
        }
        for i, step in sorted(made.result.failures.items())
    ]


def summarize(made: Made, total: float, files: list[Path]) -> dict[str, Any]:
    """The run as one JSON object.

    Args:
        made: What was generated.
        total: Seconds from the first step to the last image.
        files: The files written.
    """
    request, result = made.request, made.result
    return {
        **made.facts,
        "indices": made.numbers.tolist(),
        **{name: values.tolist() for name, values in request.rows.items()},
        "seeds": result.seeds.tolist(),
        "fidelity": request.fidelity.tolist(),
        "rewards": [_reward(made, i) for i in range(len(result))],
        "failures": failures(made),
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


def lines_of(made: Made, files: list[Path]) -> Iterator[str]:
    """A line of JSON for each image of a batch, good or not.

    Args:
        made: The batch.
        files: The files of the good ones, where each has one.
    """
    names = dict(zip(made.good, map(str, files), strict=False))
    for place in range(len(made.result)):
        yield json.dumps({**made.facts, **_told(made, place), "file": names.get(place)})


def save_trace(path: Path, made: Made) -> None:
    """Write what was chosen for every sample at every policy call, null where none was."""
    samples = [
        _told(made, i)
        | {
            "actions": {
                name: [_finite(value) for value in values[:, i].tolist()]
                for name, values in made.result.schedule.items()
            },
        }
        for i in range(len(made.result))
    ]
    content = {**made.facts, "samples": samples}
    text = f"{json.dumps(content)}\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _told(made: Made, place: int) -> Facts:
    """What is said of one image beside the actions."""
    return {
        **sample_facts(made, place),
        "reward": _reward(made, place),
        "failed_at_step": made.result.failures.get(place),
    }


def _reward(made: Made, index: int) -> float | None:
    rewards = made.result.rewards
    return None if rewards is None else _finite(float(rewards[index]))


def _finite(value: float) -> float | None:
    """Convert a number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
