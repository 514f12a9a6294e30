"""`adagen-rt inspect`: a description of an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from adagen_rt.cli.support.cost import Cost, measure_cost
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.plans import describe_plans, plan_rows
from adagen_rt.cli.support.tables import quantity, table
from adagen_rt.engine.bundle import BundleFile
from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.engine.manifest import Floats, static_values
from adagen_rt.engine.schedule import ActionSpec, ScheduleSpec
from adagen_rt.engine.sections import GraphSpec, TensorSpec


@click.command()
@click.argument("engine")
@click.option("--plans", type=NamedPath(), help="Folder that adagen-rt build --out wrote.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def inspect(engine: str, plans: Path | None, as_json: bool) -> None:
    """Show what ENGINE (a folder, or the name of a shipped engine) is and what it costs.

    It lists the TensorRT plans that were built of it, and says what makes one stale. Every
    file's hash is checked. FLOPs count a multiplication and an addition as two.
    """
    opened = open_engine(engine)
    content = describe_engine(opened, plans)
    click.echo(json.dumps(content) if as_json else _page(opened, content))


def describe_engine(engine: EngineFolder, plans: Path | None = None) -> dict[str, Any]:
    """Return the manifest, with its cost and the engine's plans, as `describe_plans` finds them."""
    manifest = engine.manifest
    cost = measure_cost(manifest)
    content = manifest.model_dump(mode="json", exclude_none=True)
    values = static_values(manifest, manifest.schedule.steps)
    for action, described in zip(
        manifest.schedule.actions, content["schedule"]["actions"], strict=True
    ):
        low, high = action.range
        # JSON has no infinity.
        described["range"] = [low, high if high != float("inf") else None]
        described["static_values"] = values[action.name].tolist()
    return {
        **content,
        "path": str(engine.path),
        "adaptive": manifest.adaptive,
        "parameters": sum(graph.parameters for graph in manifest.graphs.values()),
        "flops": {"per_image": cost.per_image, "per_step": cost.per_step},
        "bytes": engine.sizes,
        **_bundle_facts(engine),
        "plans": describe_plans(engine, plans),
    }


def _bundle_facts(engine: EngineFolder) -> dict[str, Any]:
    """Return what a file of a whole generation says of itself, without the manifest."""
    if not isinstance(engine, BundleFile):
        return {}
    return {"bundle": engine.facts.model_dump(mode="json", exclude={"manifest"})}


def _page(engine: EngineFolder, content: dict[str, Any]) -> str:
    manifest, sizes = engine.manifest, content["bytes"]
    spec, values = manifest.schedule, static_values(manifest, manifest.schedule.steps)
    parts = [
        _overview(engine, content),
        table(
            ("action", "range", "activation", "static schedule", "from", "to"),
            [_action_row(*row) for row in zip(spec.actions, values.values(), strict=True)],
        ),
        table(
            ("graph", "parameters", "FLOPs a row", "error", "dtype", "inputs", "outputs"),
            [_graph_row(name, graph) for name, graph in manifest.graphs.items()],
        ),
        *_bundle_table(content),
        table(("file", "bytes"), [(name, f"{size:,}") for name, size in sizes.items()]),
        table(("written with", "version"), list(manifest.versions.items())),
    ]
    if content["plans"]:
        header = ("plans", "version", "for", "dtype", "batches", "profiles", "size", "state")
        parts.insert(-1, table(header, plan_rows(content["plans"])))
    return "\n\n".join(parts)


def _bundle_table(content: dict[str, Any]) -> list[str]:
    if "bundle" not in content:
        return []
    facts = content["bundle"]
    checked = facts.pop("checked")
    rows = [(name.replace("_", " "), _words(value)) for name, value in facts.items()]
    rows += [(f"checked: {name.replace('_', ' ')}", str(value)) for name, value in checked.items()]
    return [table(("whole generation", ""), rows)]


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _overview(engine: EngineFolder, content: dict[str, Any]) -> str:
    manifest = engine.manifest
    image = manifest.image
    cost = Cost(**content["flops"])
    rows = [
        ("name", manifest.name),
        ("family", manifest.family.family),
        ("weights", f"{quantity(content['parameters'])} parameters, {manifest.dtype}"),
        ("steps", _steps(manifest.schedule)),
        ("schedule", manifest.adaptation),
        ("condition", manifest.condition.summary),
        ("image", f"{image.size}, {image.channels} channel(s)"),
        *([("other sizes", str(manifest.sizes))] if manifest.sizes else []),
        ("FLOPs", f"{quantity(cost.per_image)} an image, {quantity(cost.per_step)} a step"),
        ("size", f"{quantity(sum(content['bytes'].values()))}B on disk"),
        ("path", str(engine.path)),
    ]
    return table(("engine", ""), rows)


def _steps(spec: ScheduleSpec) -> str:
    words = f"{spec.steps}, smoothing {spec.smoothing:g}"
    return f"{words}; the policy may stop earlier" if spec.stopping else words


def _action_row(action: ActionSpec, values: Floats) -> tuple[str, ...]:
    low, high = action.range
    return (
        action.name,
        f"{low:g} to {high:g}",
        action.activation,
        action.static.kind,
        f"{values[0]:.4g}",
        f"{values[-1]:.4g}",
    )


def _graph_row(name: str, graph: GraphSpec) -> tuple[str, ...]:
    return (
        name,
        quantity(graph.parameters),
        quantity(graph.flops),
        "unknown" if graph.error is None else f"{graph.error:.1e}",
        "/".join(sorted({tensor.dtype for tensor in (*graph.inputs, *graph.outputs)})),
        _signature(graph.inputs),
        _signature(graph.outputs),
    )


def _signature(tensors: tuple[TensorSpec, ...]) -> str:
    return " ".join(
        f"{tensor.name}({','.join(str(size) for size in tensor.shape)})" for tensor in tensors
    )
