"""Arithmetic of one image, from the counts in the manifest."""

from __future__ import annotations

from dataclasses import dataclass

from adagen_rt.engine.manifest import Manifest


@dataclass(frozen=True)
class Cost:
    """Floating-point operations, None if a graph's count is not known.

    Attributes:
        per_image: Operations of one image, the decoder included.
        per_step: Mean operations of each step: backbone and policy.
    """

    per_image: float | None
    per_step: float | None


def measure_cost(manifest: Manifest) -> Cost:
    """Compute the cost of one image at the engine's own number of steps."""
    steps = manifest.schedule.steps
    rows = manifest.family.counts_per_image(steps, manifest.condition.copies)
    # Of the optional graphs, only the policy runs by default.
    counts = {name: graph.flops for name, graph in manifest.graphs.items() if name in rows}
    known = {name: rows[name] * count for name, count in counts.items() if count is not None}
    if len(known) < len(counts):
        return Cost(None, None)
    stepwise = sum(known.get(name, 0) for name in ("backbone", "policy", "refine"))
    return Cost(sum(known.values()), stepwise / steps)
