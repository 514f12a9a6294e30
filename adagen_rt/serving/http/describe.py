"""Descriptions of engines for clients."""

from __future__ import annotations

import math
from typing import Any

from adagen_rt.engine.manifest import Manifest, static_values
from adagen_rt.sampling.params import ROWS, schedule_names


def describe_engine(manifest: Manifest) -> dict[str, Any]:
    """Describe an engine for JSON: family, classes, image, schedule and abilities."""
    spec = manifest.schedule
    return {
        "family": manifest.family.family,
        **manifest.condition.facts(),
        "image": {"size": manifest.image.size.plain, "channels": manifest.image.channels},
        "sizes": None if manifest.sizes is None else manifest.sizes.model_dump(),
        "steps": spec.steps,
        "schedule": manifest.adaptation,
        "stopping": spec.stopping,
        "actions": [
            {"name": action.name, "range": _range(action.range)} for action in spec.actions
        ],
        "static_schedule": static_schedule(manifest, spec.steps),
        "supports": {
            **{name: name in schedule_names(manifest) for name in ("policy", "tuned")},
            **{name: row.graph in manifest.graphs for name, row in ROWS.items() if row.graph},
        },
    }


def static_schedule(manifest: Manifest, steps: int) -> dict[str, list[float]]:
    """Return the hand-made schedule, a number for each policy call, by action name."""
    return {
        name: [float(f"{value:.7g}") for value in values]
        for name, values in static_values(manifest, steps).items()
    }


def _range(bounds: tuple[float, float]) -> list[float | None]:
    """Convert an interval for JSON, which has no infinity."""
    return [bound if math.isfinite(bound) else None for bound in bounds]
