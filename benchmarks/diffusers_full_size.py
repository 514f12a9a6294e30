"""Pipelines of diffusers at their published sizes, from the values of their config.json.

Without weights, every graph is made and told with its size, by `adagen-rt export --dry-run`. With
``--real``, the pipeline is exported with seeded weights, which are kept in ``--out`` and not made
again, and one image is generated. Each is a process of its own, with its own peak of memory.

    python benchmarks/diffusers_full_size.py --out /tmp/pipelines
    python benchmarks/diffusers_full_size.py --out /tmp/pipelines --real pixart-sigma

The T5 of these pipelines has 4.8 billion parameters, 19 GB in float32: ``--text-layers 4`` has the
real transformer beside a sixth of it. ``--layers`` is for a trial.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from diffusers_pipelines import PUBLISHED, write_folder
from full_size import measured
from timing import conditions, print_report

from adagen_rt.engine.folder import open_engine
from adagen_rt.system import available_threads

HEAD = ("pipeline", "what", "seconds", "peak GB", "told")
TAG = "full-size"
Row = tuple[Any, ...]


def dry_run(folder: Path, name: str) -> Row:
    """Make the graphs without weights; what is told of them."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "adagen_rt", "export", str(folder), "--dry-run"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # it has been waited for
    print(told, flush=True)
    if status:
        raise click.ClickException(f"{name}: status {status}")
    peak = usage.ru_maxrss * 1024 / 1e9
    return name, "dry run", time.perf_counter() - began, peak, told.splitlines()


def real(folder: Path, engine: Path, name: str, size: int, steps: int) -> list[Row]:
    """Export with seeded weights, unless it is there, and generate one image."""
    rows: list[Row] = []
    if not engine.is_dir():
        options = ("--seeded", TAG, "--size", str(size), "--out", str(engine))
        rows.append((name, "export", *measured("export", str(folder), *options), _told(engine)))
    picture = engine.with_suffix(".png")
    options = ("--engine", str(engine), "--steps", str(steps), "--seed", "0", "--out", str(picture))
    made = measured("generate", "--prompt", "a red fox in the snow", *options)
    rows.append((name, f"{steps} steps", *made, [f"{size} x {size} pixels"]))
    return rows


def _told(engine: Path) -> list[str]:
    size = sum(path.stat().st_size for path in engine.iterdir()) / 1e9
    graphs = open_engine(engine).manifest.graphs
    errors = [f"{name}: {graph.parameters:,}, {graph.error:.0e}" for name, graph in graphs.items()]
    return [f"{size:.2f} GB", *errors]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(PUBLISHED)))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where folders lie.")
@click.option("--real", "exports", is_flag=True, help="Export with seeded weights, and generate.")
@click.option("--layers", type=int, help="Layers of the transformer; default: as published.")
@click.option("--text-layers", type=int, help="Layers of text encoders; default: as published.")
@click.option("--size", type=int, default=1024, show_default=True, help="Pixels, with --real.")
@click.option("--steps", type=int, default=4, show_default=True, help="Steps, with --real.")
def main(
    names: tuple[str, ...],
    out: Path,
    exports: bool,
    layers: int | None,
    text_layers: int | None,
    size: int,
    steps: int,
) -> None:
    """Make the pipelines; a line of JSON each, a table, and all in one line of JSON last."""
    rows: list[Row] = []
    for name in names or PUBLISHED:
        cut = "".join(f"-{depth}" for depth in (layers, text_layers) if depth is not None)
        folder = out / f"{name}{cut}"
        write_folder(name, folder, layers, text_layers)
        engine = out / f"{name}{cut}-{size}-engine"
        for row in real(folder, engine, name, size, steps) if exports else [dry_run(folder, name)]:
            rows.append(row)
            print(json.dumps(dict(zip(HEAD, row, strict=True))), flush=True)
    print_report("diffusers_full_size", HEAD, rows, conditions(available_threads()))


if __name__ == "__main__":
    main()
