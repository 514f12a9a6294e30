"""An engine with another policy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from adagen_rt.engine.contracts import CHOOSERS
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import FRESH, Manifest
from adagen_rt.engine.sections import GraphSpec
from adagen_rt.export.graphs import plan_policy
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.writing import export_graphs
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.quantization.twin import copy_condition, copy_graph
from adagen_rt.types import Tell


def export_policy(
    engine: EngineFolder,
    manifest: Manifest,
    out: Path,
    networks: dict[str, PolicyNetwork],
    std: float,
    *,
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Write an engine's copy with another policy and critic, and without a fidelity policy.

    Args:
        engine: The engine, whose other graphs are copied.
        manifest: What the policy was trained for: the engine's manifest without its policies,
            under the policy's schedule.
        out: The folder of the copy; an engine that is there is replaced when all is done.
        networks: The new `policy` and `critic`, which stay as they are.
        std: Standard deviation of the actions that refinement tries.
        progress: Called with a line about what happens next.
    """
    kept = {name: engine.manifest.graphs[name] for name in manifest.graphs}

    def plans() -> Iterator[GraphPlan]:
        for name, network in networks.items():
            yield plan_policy(manifest, copy.deepcopy(network).cpu(), name)

    def copy_rest(folder: Path) -> None:
        for name in kept:
            copy_graph(engine.graph_file(name), folder)
        copy_condition(engine, folder)

    describe = partial(_describe, manifest, kept, std)
    # Policies and critics are float32 in every engine.
    return export_graphs(out, plans, describe, dtype="float32", progress=progress, beside=copy_rest)


def _describe(
    manifest: Manifest, kept: dict[str, GraphSpec], std: float, graphs: dict[str, GraphSpec]
) -> Manifest:
    versions = {name: value for name, value in manifest.versions.items() if name != FRESH}
    assert set(graphs) <= set(CHOOSERS)
    written = {"graphs": {**kept, **graphs}, "refinement_std": std, "versions": versions}
    return manifest.model_copy(update=written)
