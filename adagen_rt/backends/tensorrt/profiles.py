"""The fixed shapes that each graph of an engine is called with."""

from __future__ import annotations

from collections.abc import Sequence

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import PlanError

Shapes = dict[str, tuple[int, ...]]

#: Graphs that may have more than one row a sample: the conditional and the null row.
PAIRED = ("backbone", "condition")


def graph_profiles(manifest: Manifest, graph: str, batches: Sequence[int]) -> tuple[Shapes, ...]:
    """List the shapes of a graph's inputs for every batch size and set of axis sizes.

    Raises:
        PlanError: An input has a dynamic axis of an unknown name.
    """
    inputs = manifest.graphs[graph].inputs
    named = {size for tensor in inputs for size in tensor.shape if isinstance(size, str)}
    profiles = []
    family = manifest.family
    copies = manifest.condition.copies if graph in PAIRED else 1
    rows = [batch * copies for batch in batches]
    for sizes in (sizes for count in rows for sizes in family.sizes(count)):
        if unknown := sorted(named - sizes.keys()):
            raise PlanError(
                f"graphs.{graph}.inputs: got the dynamic axis {unknown[0]!r}, "
                f"expected one of {', '.join(sizes)}"
            )
        shapes = {
            tensor.name: tuple(d if isinstance(d, int) else sizes[d] for d in tensor.shape)
            for tensor in inputs
        }
        # Graphs that do not depend on the scale have the same shapes at each.
        if shapes not in profiles:
            profiles.append(shapes)
    return tuple(profiles)
