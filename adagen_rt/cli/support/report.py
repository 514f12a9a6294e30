"""Reports of `generate`: a summary of the run, and the trace of its decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adagen_rt.files import replace_file
from adagen_rt.sampling.facts import sample_facts
from adagen_rt.sampling.origin import Facts
from adagen_rt.sampling.result import Result


def failures(result: Result) -> list[dict[str, Any]]:
    """List the samples that met a non-finite number, each with the step it did so."""
    return [
        {
            "index": int(result.origin.numbers[i]),
            **result.condition.describe(result.rows, i),
            "seed": int(result.seeds[i]),
            "step": step,
        }
        for i, step in sorted(result.failures.items())
    ]


def summarize(result: Result, total: float, files: list[Path]) -> dict[str, Any]:
    """The run as one JSON object.

    Args:
        result: What was generated.
        total: Seconds from the first step to the last image.
        files: The files written.
    """
    origin = result.origin
    return {
        **origin.facts,
        "indices": origin.numbers.tolist(),
        **{name: values.tolist() for name, values in result.condition.kept(result.rows).items()},
        "seeds": result.seeds.tolist(),
        "fidelity": origin.fidelity.tolist(),
        "evaluations": result.evaluations.tolist(),
        "rewards": [_reward(result, i) for i in range(len(result))],
        "failures": failures(result),
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
    images = "image" if made == 1 else "images"
    return f"{made} {images} in {total:.2f} s ({parts})\nwritten: {written or 'nothing'}"


def lines_of(result: Result, files: list[Path]) -> Iterator[str]:
    """A line of JSON for each image of a batch, good or not.

    Args:
        result: The batch.
        files: The files of the good ones, where each has one.
    """
    names = dict(zip(result.good, map(str, files), strict=False))
    for place in range(len(result)):
        told = {**result.origin.facts, **_told(result, place), "file": names.get(place)}
        yield json.dumps(told)


def save_trace(path: Path, result: Result) -> None:
    """Write what was chosen for every sample at every policy call, null where none was."""
    samples = [
        _told(result, i)
        | {
            "actions": {
                name: [_finite(value) for value in values[:, i].tolist()]
                for name, values in result.schedule.items()
            },
        }
        for i in range(len(result))
    ]
    content = {**result.origin.facts, "samples": samples}
    text = f"{json.dumps(content)}\n"
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _told(result: Result, place: int) -> Facts:
    """What is said of one image beside the actions."""
    return {
        **sample_facts(result, place),
        "evaluations": int(result.evaluations[place]),
        "reward": _reward(result, place),
        "failed_at_step": result.failures.get(place),
    }


def _reward(result: Result, index: int) -> float | None:
    rewards = result.rewards
    return None if rewards is None else _finite(float(rewards[index]))


def _finite(value: float) -> float | None:
    """Convert a number for JSON, which has no NaN."""
    return value if math.isfinite(value) else None
