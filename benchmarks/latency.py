"""Whole generations against the published algorithm in PyTorch, eager and compiled.

Regime: float32, one image, from label to pixels: policy, backbone, sampling, decoder. The
baseline is ``published.py`` and the same under ``torch.compile``, at the same number of
threads. Full-size recipes have seeded weights on both sides. The shipped engines are run as
they are, and compared with networks of their recipe's sizes and seeded weights, since only
their graphs are shipped; what those compute takes as long whatever the weights. Contenders
run in turns, A B C A B C; the compiled ones compile during the runs that are not counted.

    python benchmarks/latency.py --cache FOLDER [--plot FILE]   # all; engines of up to 9 GB
    python benchmarks/latency.py --quick                        # shipped engines, eager only
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import click
from full_size import FOLDER, RECIPES, measured
from timing import conditions, interleaved_seconds, print_report
from worker import Calls, Worker

from adagen_rt.cli.files import check_writable
from adagen_rt.cli.plots import check_plotting
from adagen_rt.engine import shipped_engines
from adagen_rt.errors import AdagenError, InputError
from adagen_rt.generator import check_threads, load

SHIPPED = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")
TAG = "golden6"
BASELINES = ("eager", "compiled")
WARMUPS = 2
QUICK_REPEATS = 5


def runtime(engine: str, threads: int) -> Calls:
    """The engine, asked for one image of another seed at every call."""
    generator, seeds = load(engine, threads=threads), count()
    return {"runtime": lambda: generator.generate([0], [next(seeds)])}


def pytorch(name: str, threads: int, kinds: tuple[str, ...]) -> Calls:
    """The recipe's networks, eager, compiled or both, on the same weights in memory."""
    import torch
    from published import make_images
    from published_base import Published, TorchRandom

    from adagen_rt.export.description import describe_model
    from adagen_rt.export.networks import seed_networks
    from adagen_rt.export.recipe import load_recipe

    torch.set_num_threads(threads)
    # VAR's backbone meets the shapes of ten scales; past the limit it would run eagerly.
    torch._dynamo.config.recompile_limit = 32
    recipe = load_recipe(FOLDER / f"{name}.yaml")
    manifest, networks = describe_model(recipe), seed_networks(recipe, TAG)
    wrappers = {"eager": lambda module: module, "compiled": torch.compile}
    label, random = torch.tensor([0]), TorchRandom()
    return {
        kind: partial(make_images, Published.of(manifest, networks, wrappers[kind]), label, random)
        for kind in kinds
    }


def prepare(name: str, cache: Path | None) -> str:
    """What `load` takes; a full-size engine is exported unless the cache has it."""
    if name in SHIPPED:
        return name
    assert cache is not None
    engine = cache / name
    if not engine.exists():
        source = str(FOLDER / f"{name}.yaml")
        measured("export", source, "--seeded", TAG, "--out", str(engine))
    return str(engine)


def compare(
    name: str, cache: Path | None, threads: int, repeats: int, kinds: tuple[str, ...]
) -> dict[str, Any]:
    """One row of the table; ``kinds`` are the baselines."""
    load_before = os.getloadavg()[0]
    engine = prepare(name, cache)
    memory: dict[str, float] = {}

    def call(worker: Worker, contender: str) -> None:
        memory[contender] = worker.call(contender)

    ours, theirs = partial(runtime, engine, threads), partial(pytorch, name, threads, kinds)
    with Worker(ours) as first, Worker(theirs) as second:
        calls = {"runtime": partial(call, first, "runtime")}
        calls |= {kind: partial(call, second, kind) for kind in kinds}
        seconds = interleaved_seconds(calls, repeats, WARMUPS)
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    return {
        "engine": name,
        **{f"{kind}_s": median for kind, median in medians.items()},
        **{f"over_{kind}": medians[kind] / medians["runtime"] for kind in kinds},
        "spread": max(spread(times) for times in seconds.values()),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "runtime_gb": memory["runtime"],
        "torch_gb": max(memory[kind] for kind in kinds),
    }


def spread(times: Sequence[float]) -> float:
    """The distance between the quartiles over the median."""
    lower, middle, upper = statistics.quantiles(times, n=4, method="inclusive")
    return (upper - lower) / middle


def draw(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Bars of how many times as long the baselines take."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 * len(rows) + 2, 3.5), layout="constrained")
    axis = figure.subplots()
    places, fields = range(len(rows)), [key for key in rows[0] if key.startswith("over_")]
    width = 0.8 / len(fields)
    for index, field in enumerate(fields):
        left = [place + width * (index - (len(fields) - 1) / 2) for place in places]
        axis.bar(left, [row[field] for row in rows], width, label=field.replace("_", " "))
    axis.set_xticks(places, [row["engine"] for row in rows])
    axis.axhline(1, color="black", linewidth=1)
    axis.set(ylabel="time over the runtime's")
    axis.legend()
    figure.savefig(path, dpi=110)


def choose(text: str | None, quick: bool, cache: Path | None) -> tuple[str, ...]:
    """The engines that were asked for.

    Raises:
        InputError: One is unknown, or has to be exported and there is no folder for it.
    """
    known = SHIPPED if quick else (*SHIPPED, *RECIPES)
    names = tuple(text.split(",")) if text else known
    for name in names:
        if name not in known:
            raise InputError("engines", name, f"of {', '.join(known)}")
        if name in SHIPPED and name not in shipped_engines():
            raise InputError("engines", name, "an engine that is installed")
        if name in RECIPES and cache is None:
            raise InputError("cache", None, f"a folder for {name}, or else --quick")
    return names


@click.command()
@click.option("--engines", help="Which, comma-separated; default: all.")
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(min=2), help="Default: 10, with --quick 5.")
@click.option("--quick", is_flag=True, help="The shipped engines, against eager only.")
@click.option("--no-compile", is_flag=True, help="Leave the compiled baseline out.")
@click.option("--cache", type=click.Path(path_type=Path), help="Exported engines, kept here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of the ratios.")
def main(
    engines: str | None,
    threads: int,
    repeats: int | None,
    quick: bool,
    no_compile: bool,
    cache: Path | None,
    plot: Path | None,
) -> None:
    """Compare whole generations; a table, and last a line of JSON."""
    try:
        names, workers = choose(engines, quick, cache), check_threads(threads)
        if plot is not None:
            check_plotting()
            check_writable("plot", plot)
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    facts = conditions(workers)
    turns = repeats or (QUICK_REPEATS if quick else 2 * QUICK_REPEATS)
    # Compiling takes longer than all else that is quick.
    kinds = BASELINES[:1] if quick or no_compile else BASELINES
    rows = []
    for name in names:
        row = compare(name, cache, workers, turns, kinds)
        rows.append(row)
        figures = (f"{key} {value:.3g}" for key, value in row.items() if key != "engine")
        click.echo(f"{name}: {', '.join(figures)}", err=True)
    if plot is not None:
        draw(plot, rows)
    cells = [list(row.values()) for row in rows]
    print_report("latency", list(rows[0]), cells, {**facts, "repeats": turns, "batch": 1})


if __name__ == "__main__":
    main()
