"""Export and run the five published networks at full size, with seeded weights.

What it takes to handle each one on this machine: export time and peak memory, size of the
engine, time and peak memory of one image, largest error of a graph against PyTorch. Every
export and generation is a process of its own, so that each has its own peak.

    python benchmarks/full_size.py --out /tmp/engines [--dtype fp16] [RECIPE ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from timing import conditions, print_report

from adagen_rt.engine.folder import open_engine
from adagen_rt.system import available_threads

RECIPES = ("maskgit-l", "dit-xl-2", "sit-xl-2", "var-d16", "var-d30")
FOLDER = Path(__file__).parents[1] / "export"
HEAD = ("engine", "parameters", "GB", "export s", "export GB", "errors", "image s", "image GB")


def measured(*arguments: str) -> tuple[float, float]:
    """Run the command line; seconds and peak resident memory in GB."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "adagen_rt", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status  # it has been waited for
    if status:
        raise click.ClickException(f"adagen-rt {' '.join(arguments)}: status {status}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e9


def handle(recipe: str, out: Path, dtype: str) -> dict[str, Any]:
    """Export one network, make one image with it, and say what both took."""
    engine = out / f"{recipe}-{dtype}"
    source = str(FOLDER / f"{recipe}.yaml")
    export_seconds, export_memory = measured(
        "export", source, "--seeded", "golden6", "--dtype", dtype, "--out", str(engine)
    )
    picture = out / f"{recipe}-{dtype}.png"
    image_seconds, image_memory = measured(
        "generate", "--engine", str(engine), "--label", "207", "--count", "1", "--seed", "0",
        "--out", str(picture),
    )  # fmt: skip
    manifest = open_engine(engine).manifest
    size = sum(path.stat().st_size for path in engine.iterdir())
    return {
        "engine": recipe,
        "parameters": sum(graph.parameters for graph in manifest.graphs.values()),
        "gigabytes": size / 1e9,
        "export_seconds": export_seconds,
        "export_peak_gigabytes": export_memory,
        "errors": {name: graph.error for name, graph in manifest.graphs.items()},
        "image_seconds": image_seconds,
        "image_peak_gigabytes": image_memory,
    }


def cells(row: dict[str, Any]) -> tuple[Any, ...]:
    """One row of the table."""
    return (
        row["engine"],
        f"{row['parameters'] / 1e6:.0f} M",
        row["gigabytes"],
        round(row["export_seconds"]),
        row["export_peak_gigabytes"],
        " ".join(f"{name}:{error:.0e}" for name, error in row["errors"].items()),
        round(row["image_seconds"]),
        row["image_peak_gigabytes"],
    )


@click.command()
@click.argument("recipes", nargs=-1, type=click.Choice(RECIPES))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where engines go.")
@click.option("--dtype", type=click.Choice(("fp32", "fp16", "bf16")), default="fp32")
@click.option("--keep", is_flag=True, help="Keep the engines; they take up to 9 GB each.")
def main(recipes: tuple[str, ...], out: Path, dtype: str, keep: bool) -> None:
    """Measure the published networks; last line JSON."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for recipe in recipes or RECIPES:
        rows.append(handle(recipe, out, dtype))
        if not keep:
            shutil.rmtree(out / f"{recipe}-{dtype}")
    facts = {**conditions(available_threads()), "dtype": dtype}
    print_report("full_size", HEAD, [cells(row) for row in rows], facts)


if __name__ == "__main__":
    main()
