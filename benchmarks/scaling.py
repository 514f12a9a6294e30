"""How the cost of a generation grows: with the batch, the steps and the tokens.

Regime: whole generations on ONNX Runtime, float32. Batch and steps are those of a shipped engine;
for tokens, its recipe is exported with larger latents and seeded weights. Sizes are measured in
turns, small and large, so that a busy moment meets them all; medians. `growth` is the time over
that of the next smaller size, divided by how much more there is to do: 1 is linear, less is
better. Attention is quadratic in the tokens, so there growth may exceed 1.

    python benchmarks/scaling.py [--engine fashion-dit] [--plot FILE]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml
from timing import conditions, interleaved_medians, print_report

from adagen_rt import load
from adagen_rt.cli.support.plots import check_plot
from adagen_rt.errors import AdagenError
from adagen_rt.export import export_engine
from adagen_rt.export.recipe import Recipe
from adagen_rt.pipeline.load import check_threads
from adagen_rt.pipeline.stepwise import StepwisePipeline

RECIPES = Path(__file__).parents[1] / "export"
BATCHES = (1, 2, 4, 8, 16)
STEPS = (4, 8, 16, 32, 64)
#: Sides of the latents.
SIDES = (8, 16, 24, 32)
HEADER = ("of", "size", "ms", "growth")
Row = dict[str, Any]


def generations(
    generator: StepwisePipeline, count: int, steps: int | None = None
) -> Callable[[], object]:
    """A call that generates ``count`` images at once."""
    labels = [n % 10 for n in range(count)]
    return partial(generator.generate, labels, [0] * count, steps=steps, batch_size=count)


def grown(name: str, side: int, folder: Path) -> Path:
    """The engine's recipe with latents of another side and seeded weights, exported."""
    content = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    content["backbone"]["size"] = side
    out = folder / str(side)
    export_engine(Recipe.model_validate(content), out, seeded="scaling")
    return out


def rows_of(what: str, calls: Mapping[int, Callable[[], object]], repeats: int) -> list[Row]:
    """One row a size, smallest first."""
    medians = interleaved_medians({str(size): call for size, call in calls.items()}, repeats)
    rows: list[Row] = []
    for size in calls:
        seconds, growth = medians[str(size)], None
        if rows:
            last = rows[-1]
            growth = 1e3 * seconds / last["ms"] / (size / last["size"])
        rows.append({"of": what, "size": size, "ms": 1e3 * seconds, "growth": growth})
        click.echo(f"{what} {size}: {1e3 * seconds:.1f} ms", err=True)
    return rows


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """Time against size, with a straight line through the first point, on log axes."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(row["of"] for row in rows))
    figure = Figure(figsize=(3.4 * len(kinds), 3.2), layout="constrained")
    for axis, kind in zip(figure.subplots(1, len(kinds)), kinds, strict=True):
        own = [row for row in rows if row["of"] == kind]
        sizes, times = ([row[key] for row in own] for key in ("size", "ms"))
        axis.loglog(sizes, times, "o-", label="measured")
        linear = [times[0] * size / sizes[0] for size in sizes]
        axis.loglog(sizes, linear, "k--", linewidth=1, label="linear")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        axis.set(xlabel=kind, ylabel="ms")
    figure.axes[0].legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--engine", "name", default="fashion-dit", show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(min=2), default=7, show_default=True)
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of the three curves.")
def main(name: str, threads: int, repeats: int, plot: Path | None) -> None:
    """Measure; a table, and last a line of JSON."""
    try:
        facts = {"engine": name, **conditions(check_threads(threads))}
        check_plot(plot)
        generator = load(name, threads=threads)
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    batches = {count: generations(generator, count) for count in BATCHES}
    rows = rows_of("batch", batches, repeats)
    rows += rows_of("steps", {n: generations(generator, 1, n) for n in STEPS}, repeats)
    with tempfile.TemporaryDirectory() as scratch:
        sides = {n: load(grown(name, n, Path(scratch)), threads=threads) for n in SIDES}
        calls = {n * n: generations(one, 1) for n, one in sides.items()}
        rows += rows_of("tokens", calls, repeats)
    if plot is not None:
        draw(plot, rows, f"{name}: time of a generation")
    print_report("scaling", HEADER, [[row[key] for key in HEADER] for row in rows], facts)


if __name__ == "__main__":
    main()
