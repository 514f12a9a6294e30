"""The fixed shapes that each graph of an engine is called with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from adagen_rt.engine.manifest import Manifest, VARSpec
from adagen_rt.errors import PlanError

Shapes = dict[str, tuple[int, ...]]

#: Rows for one sample, where that is not one: the conditional and the null row.
ROWS = {"backbone": 2, "condition": 2}


def graph_profiles(manifest: Manifest, graph: str, batches: Sequence[int]) -> tuple[Shapes, ...]:
    """Shapes of a graph's inputs, for every batch size and, for VAR, every scale.

    Raises:
        PlanError: An input has a dynamic axis of an unknown name.
    """
    inputs = manifest.graphs[graph].inputs
    named = {size for tensor in inputs for size in tensor.shape if isinstance(size, str)}
    profiles = []
    for sizes in _sizes(manifest, graph, batches):
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


def _sizes(manifest: Manifest, graph: str, batches: Sequence[int]) -> Iterator[dict[str, int]]:
    """Sizes of the dynamic axes by name."""
    for batch in batches:
        rows = {"rows": batch * ROWS.get(graph, 1)}
        if not isinstance(manifest.family, VARSpec):
            yield rows
            continue
        counts = [side * side for side in manifest.family.scales]
        # There is no scale after the last; its inputs are computed and not used.
        following = [*counts[1:], counts[-1]]
        past = [0, *accumulate(counts)]
        for tokens, before, ahead in zip(counts, past, following, strict=False):
            yield {**rows, "tokens": tokens, "past": before, "next_tokens": ahead}
