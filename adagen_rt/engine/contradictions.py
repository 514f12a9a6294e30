"""What sections of a manifest, each good by itself, contradict in each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from adagen_rt.engine.contracts import CHOOSERS, graph_faults, size_faults
from adagen_rt.engine.sections import GraphSpec

if TYPE_CHECKING:
    from adagen_rt.engine.manifest import Manifest


def contradictions(manifest: Manifest) -> Iterator[str]:
    """List the faults that only show between sections, a line each."""
    graphs = manifest.graphs
    names = {
        key: ([t.name for t in graph.inputs], [t.name for t in graph.outputs])
        for key, graph in graphs.items()
    }
    yield from graph_faults(manifest.family.family, manifest.contracts, names)
    yield from size_faults(manifest.expected_sizes(), _shapes(graphs))
    yield from _condition_faults(manifest)
    yield from _sizes_faults(manifest)
    for name, graph in graphs.items():
        if graph.file not in manifest.files:
            yield f"graphs.{name}.file {graph.file!r} has no entry in files"
    if "critic" in graphs and manifest.refinement_std is None:
        yield "refinement_std: missing; an engine with a critic has one"


def _condition_faults(manifest: Manifest) -> Iterator[str]:
    """List what of the condition the family or the folder lacks."""
    known, got = manifest.family.guidances, manifest.condition.guidance
    if got not in known:
        yield f"condition.guidance: got {got!r}, expected one of {', '.join(known)}"
    for name in manifest.condition.files:
        if name not in manifest.files:
            yield f"condition: {name!r} has no entry in files"


def _sizes_faults(manifest: Manifest) -> Iterator[str]:
    """List what keeps an engine from making several sizes."""
    sizes, family, own = manifest.sizes, manifest.family, manifest.image.size
    if sizes is None:
        return
    if not family.sizeable:
        yield f"sizes: got {sizes}, expected none of the family {family.family}"
    if not sizes.fits(own):
        yield f"sizes: got {sizes}, expected some that the image's {own} fits"
    for name in (*CHOOSERS, "reward"):
        if name in manifest.graphs:
            yield f"sizes: got {sizes}, expected none beside the graph {name!r}"
    shapes = _shapes(manifest.graphs)
    for name in family.sizeable:
        shape = shapes.get(name, ())
        if any(isinstance(side, int) for side in shape[-2:]):
            yield f"graphs.{name}: got the sizes {shape}, expected open ones beside 'sizes'"


def _shapes(graphs: Mapping[str, GraphSpec]) -> dict[str, tuple[int | str, ...]]:
    """Give the shapes of all tensors, by ``graph.tensor``."""
    tensors = ((name, t) for name, graph in graphs.items() for t in (*graph.inputs, *graph.outputs))
    return {f"{name}.{tensor.name}": tensor.shape for name, tensor in tensors}
