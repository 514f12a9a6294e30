"""`adagen-rt list`: which engines there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from adagen_rt.cli.support.plans import describe_plans
from adagen_rt.cli.support.tables import quantity, table
from adagen_rt.engine.folder import MANIFEST, EngineFolder, engines_in, open_engine, shipped_engines
from adagen_rt.errors import AdagenError, InputError
from adagen_rt.extent import Extent
from adagen_rt.sampling.params import schedule_names
from adagen_rt.system import cache_folder

HEADER = ("engine", "family", "image", "steps", "schedules", "weights", "size", "plans", "path")


@click.command("list")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def list_(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the shipped engines, and those in FOLDERS.

    A folder is an engine, or has engines in it. Every file's hash is checked; an engine that is
    damaged is listed with what is wrong. The last line is the folder of compiled kernels and
    kept features.
    """
    paths = [*shipped_engines().values(), *(path for one in folders for path in _find(one))]
    engines = [_describe(path) for path in dict.fromkeys(path.resolve() for path in paths)]
    cache = _describe_cache(cache_folder())
    if as_json:
        click.echo(json.dumps({"engines": engines, "cache": cache}))
        return
    click.echo(table(HEADER, [_row(engine) for engine in engines]))
    click.echo(f"\ncache: {cache['path']} ({cache['files']} files, {quantity(cache['bytes'])}B)")


def _find(folder: Path) -> list[Path]:
    """The engines of a folder, or itself."""
    if (folder / MANIFEST).is_file():
        return [folder]
    found = [*engines_in(folder).values()]
    if not found:
        raise InputError("FOLDERS", str(folder), "an engine, or a folder with engines")
    return found


def _describe(path: Path) -> dict[str, Any]:
    try:
        return _describe_opened(open_engine(path))
    except AdagenError as error:
        return {"name": path.name, "path": str(path), "fault": str(error)}


def _describe_opened(engine: EngineFolder) -> dict[str, Any]:
    manifest = engine.manifest
    return {
        "name": manifest.name,
        "path": str(engine.path),
        "engine_hash": engine.hash,
        "family": manifest.family.family,
        "dtype": manifest.dtype,
        "image": {"size": manifest.image.size.plain, "channels": manifest.image.channels},
        "steps": manifest.schedule.steps,
        "schedules": schedule_names(manifest),
        "graphs": list(manifest.graphs),
        "parameters": sum(graph.parameters for graph in manifest.graphs.values()),
        "bytes": sum((engine.path / name).stat().st_size for name in manifest.files),
        "plans": [
            {name: plans[name] for name in ("backend", "path", "bytes", "faults")}
            for plans in describe_plans(engine)
        ],
    }


def _row(engine: dict[str, Any]) -> tuple[str, ...]:
    if "fault" in engine:
        return (engine["name"], *[""] * (len(HEADER) - 2), engine["fault"])
    size, channels = Extent.of(engine["image"]["size"]), engine["image"]["channels"]
    states = {plans["backend"]: "stale" if plans["faults"] else "" for plans in engine["plans"]}
    return (
        engine["name"],
        engine["family"],
        f"{size.height} x {size.width} x {channels}",
        str(engine["steps"]),
        ", ".join(engine["schedules"]),
        f"{quantity(engine['parameters'])} {engine['dtype']}",
        f"{quantity(engine['bytes'])}B",
        ", ".join(f"{name} {state}".strip() for name, state in states.items()) or "none",
        engine["path"],
    )


def _describe_cache(folder: Path) -> dict[str, Any]:
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    return {"path": str(folder), "files": len(files), "bytes": size}
