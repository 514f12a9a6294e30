"""What a client may want to know of an engine before it asks for images."""

from __future__ import annotations

import math
from typing import Any

from adagen_rt.engine.manifest import Manifest


def describe_engine(manifest: Manifest) -> dict[str, Any]:
    """Family, classes, image, schedule and abilities of an engine, for JSON."""
    spec = manifest.schedule
    return {
        "family": manifest.family.family,
        "class_count": manifest.class_count,
        "class_names": list(manifest.class_names),
        "image": {"size": manifest.image.size, "channels": manifest.image.channels},
        "steps": spec.steps,
        "actions": [
            {"name": action.name, "range": _range(action.range)} for action in spec.actions
        ],
        "static_schedule": static_schedule(manifest, spec.steps),
        "supports": {
            "policy": "policy" in manifest.graphs,
            "fidelity": "fidelity_policy" in manifest.graphs,
            "refine": "critic" in manifest.graphs,
            "best_of": "reward" in manifest.graphs,
            "tuned": spec.tuned is not None,
        },
    }


def static_schedule(manifest: Manifest, steps: int) -> dict[str, list[float]]:
    """The hand-made schedule, a number for each policy call, by action name."""
    calls = manifest.family.calls(steps)
    return {
        action.name: [float(f"{value:.7g}") for value in action.static.values(steps, calls)]
        for action in manifest.schedule.actions
    }


def _range(bounds: tuple[float, float]) -> list[float | None]:
    """An interval in JSON, which has no infinity."""
    return [bound if math.isfinite(bound) else None for bound in bounds]
