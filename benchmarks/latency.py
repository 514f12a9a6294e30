"""Whole generations against the published algorithm in PyTorch, eager and compiled.

Regime: one image, from label to pixels: policy, backbone, sampling, decoder. The baseline is
``published.py`` in float32 and the same under ``torch.compile``, at the same number of threads.
Ours are the float32 engine and its twin with integer weights (`adagen-rt quantize`), on ONNX
Runtime and on OpenVINO. Full-size recipes have seeded weights on both sides. The shipped engines
are run as they are, and compared with networks of their recipe's sizes and seeded weights, since
only their graphs are shipped; what those compute takes as long whatever the weights. Contenders
run in turns, A B C A B C, each in a process of its own; the compiled ones compile during the
runs that are not counted. Bare products (`bare.py`, float32 and integers) take turns with them:
`gflops` are the published networks' operations for an image, whoever makes it, over the time, and
`of_bare` is their share of the bare product's. `cpu_seconds` are those of all threads.

    python benchmarks/latency.py --cache FOLDER --keep rows.jsonl [--plot FILE]  # all; up to 9 GB
    python benchmarks/latency.py --quick              # shipped engines, ONNX Runtime, eager only
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import click
from bare import FLOPS, bare_product
from full_size import FOLDER, RECIPES, measured
from kept import keep_row, read_rows
from timing import conditions, interleaved_seconds, print_report
from worker import Calls, Worker

from adagen_rt.cli.support.cost import measure_cost
from adagen_rt.cli.support.plots import check_plot
from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.errors import AdagenError, InputError
from adagen_rt.pipeline.load import check_threads, load

SHIPPED = ("fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var")
TAG = "golden6"
#: Ours: dtype of the engine, and backend.
OURS = {
    "fp32": ("fp32", "onnxruntime"),
    "int8": ("int8", "onnxruntime"),
    "openvino": ("fp32", "openvino"),
    "openvino-int8": ("int8", "openvino"),
}
BASELINES = ("eager", "compiled")
WARMUPS = 2
QUICK_REPEATS = 5
Row = dict[str, Any]


def runtime(engine: str, backend: str, threads: int) -> Calls:
    """The engine, asked for one image of another seed at every call.

    A call gives the share of its time that went neither to the backbone nor to the decoder.
    """
    generator, seeds = load(engine, backend=backend, threads=threads), count()

    def generate() -> float:
        begin = time.perf_counter()
        parts = generator.generate([0], [next(seeds)]).timings.seconds
        return 1 - (parts["backbone"] + parts["decoder"]) / (time.perf_counter() - begin)

    return {"generate": generate}


def pytorch(name: str, threads: int, kind: str) -> Calls:
    """The recipe's networks, eager or compiled."""
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
    wrap = torch.compile if kind == "compiled" else lambda module: module
    published, label = Published.of(manifest, networks, wrap), torch.tensor([0])
    random = TorchRandom()

    def generate() -> None:
        make_images(published, label, random)

    return {"generate": generate}


def prepare(name: str, dtype: str, cache: Path | None) -> str:
    """What `load` takes; what is not shipped is made unless the cache has it."""
    if name in SHIPPED and dtype == "fp32":
        return name
    assert cache is not None
    engine = cache / (name if dtype == "fp32" else f"{name}-{dtype}")
    if not engine.exists():
        if dtype == "int8":
            measured("quantize", prepare(name, "fp32", cache), "--out", str(engine))
        else:
            measured("export", str(FOLDER / f"{name}.yaml"), "--seeded", TAG, "--out", str(engine))
    return str(engine)


def compare(
    name: str, cache: Path | None, threads: int, repeats: int, contenders: Sequence[str]
) -> list[Row]:
    """One row for each contender on an engine."""
    load_before = os.getloadavg()[0]
    dtypes = {kind: OURS[kind][0] if kind in OURS else "fp32" for kind in contenders}
    engines = {kind: prepare(name, dtypes[kind], cache) for kind in contenders if kind in OURS}
    makers = {
        kind: partial(runtime, engines[kind], OURS[kind][1], threads)
        if kind in OURS
        else partial(pytorch, name, threads, kind)
        for kind in contenders
    } | {bare(dtype): partial(bare_product, dtype, threads) for dtype in dtypes.values()}
    with ExitStack() as stack:
        workers = {kind: stack.enter_context(Worker(make)) for kind, make in makers.items()}
        cpu: dict[str, list[float]] = {kind: [] for kind in workers}
        calls = {kind: partial(generate, worker, cpu[kind]) for kind, worker in workers.items()}
        seconds = interleaved_seconds(calls, repeats, WARMUPS)
    medians = {kind: statistics.median(times) for kind, times in seconds.items()}
    flops = image_flops(engines.values())
    return [
        {
            "engine": name,
            "contender": kind,
            "seconds": medians[kind],
            **{
                f"{base}_over": medians[base] / medians[kind]
                for base in BASELINES
                if base in medians
            },
            "spread": spread(seconds[kind]),
            "cpu_seconds": statistics.median(cpu[kind][WARMUPS:]),
            **roofline(flops, medians[kind], medians[bare(dtypes[kind])]),
            "outside": workers[kind].value,
            "peak_gb": workers[kind].peak,
            "weights_gb": weights_gb(engines[kind]) if kind in engines else None,
            "load_before": load_before,
            "load_after": os.getloadavg()[0],
        }
        for kind in contenders
    ]


def bare(dtype: str) -> str:
    """Name of a bare product among those that take turns."""
    return f"bare {dtype}"


def generate(worker: Worker, cpu: list[float]) -> None:
    """Have a process make an image, and note its CPU seconds."""
    worker.call("generate")
    cpu.append(worker.cpu)


def roofline(flops: float | None, seconds: float, bare_seconds: float) -> Row:
    """Operations a second of an image in 1e9, and over those of the bare product."""
    if flops is None:
        return {"gflops": None, "of_bare": None}
    rate = flops / seconds
    return {"gflops": rate / 1e9, "of_bare": rate / (FLOPS / bare_seconds)}


def image_flops(engines: Iterable[str]) -> float | None:
    """Operations of an image, by the first of some engines of one network; None without any."""
    costs = (measure_cost(open_engine(engine).manifest).per_image for engine in engines)
    return next(costs, None)


def weights_gb(engine: str) -> float:
    """Size of an engine's files."""
    opened = open_engine(engine)
    return sum((opened.path / name).stat().st_size for name in opened.manifest.files) / 1e9


def spread(times: Sequence[float]) -> float:
    """The distance between the quartiles over the median."""
    lower, middle, upper = statistics.quantiles(times, n=4, method="inclusive")
    return (upper - lower) / middle


def draw(path: Path, rows: Sequence[Row]) -> None:
    """Bars of how many times as fast as the eager baseline each contender is."""
    from matplotlib.figure import Figure

    engines = list(dict.fromkeys(row["engine"] for row in rows))
    kinds = [k for k in (*BASELINES, *OURS) if any(row["contender"] == k for row in rows)]
    figure = Figure(figsize=(1.3 * len(engines) + 2, 3.8), layout="constrained")
    axis = figure.subplots()
    width = 0.8 / len(kinds)
    for index, kind in enumerate(kinds):
        own = [row for row in rows if row["contender"] == kind]
        shift = width * (index - (len(kinds) - 1) / 2)
        left = [engines.index(row["engine"]) + shift for row in own]
        axis.bar(left, [row["eager_over"] for row in own], width, label=kind)
    axis.set_xticks(range(len(engines)), engines, rotation=20, ha="right")
    axis.set(ylabel="times as fast as eager PyTorch", title="One image, policy to pixels, on a CPU")
    axis.legend(ncols=2)
    figure.savefig(path, dpi=110)


def choose(text: str | None, quick: bool, cache: Path | None) -> tuple[str, ...]:
    """The engines that were asked for.

    Raises:
        InputError: One is unknown, or has to be made and there is no folder for it.
    """
    known = SHIPPED if quick else (*SHIPPED, *RECIPES)
    names = tuple(text.split(",")) if text else known
    for name in names:
        if name not in known:
            raise InputError("engines", name, f"of {', '.join(known)}")
        if name in SHIPPED and name not in shipped_engines():
            raise InputError("engines", name, "an engine that is installed")
    if cache is None and not quick:
        raise InputError("cache", None, "a folder for the engines to be made, or else --quick")
    return names


def choose_contenders(text: str | None, quick: bool) -> tuple[str, ...]:
    """Who takes part; eager always does.

    Raises:
        InputError: One is unknown.
    """
    # Compiling takes longer than all else that is quick.
    known = (*OURS, *BASELINES)
    names = tuple(text.split(",")) if text else (("fp32", "eager") if quick else known)
    for name in names:
        if name not in known:
            raise InputError("contenders", name, f"of {', '.join(known)}")
    return tuple(dict.fromkeys((*names, "eager")))


@click.command()
@click.option("--engines", help="Which, comma-separated; default: all.")
@click.option("--contenders", help="Who, comma-separated, beside eager; default: all.")
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--repeats", type=click.IntRange(min=2), help="Default: 10, with --quick 5.")
@click.option("--quick", is_flag=True, help="The shipped engines on ONNX Runtime, against eager.")
@click.option("--cache", type=click.Path(path_type=Path), help="Engines that are made, kept here.")
@click.option("--keep", type=click.Path(path_type=Path), help="Rows that are done, kept here.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of the ratios.")
def main(
    engines: str | None,
    contenders: str | None,
    threads: int,
    repeats: int | None,
    quick: bool,
    cache: Path | None,
    keep: Path | None,
    plot: Path | None,
) -> None:
    """Compare whole generations; a table, and last a line of JSON."""
    try:
        names, workers = choose(engines, quick, cache), check_threads(threads)
        kinds = choose_contenders(contenders, quick)
        check_plot(plot)
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    facts = conditions(workers)
    turns = repeats or (QUICK_REPEATS if quick else 2 * QUICK_REPEATS)
    rows = read_rows(keep)
    done = {(row["engine"], row["contender"]) for row in rows}
    for name in names:
        if all((name, kind) in done for kind in kinds):
            continue
        for row in compare(name, cache, workers, turns, kinds):
            rows.append(row)
            keep_row(keep, row)
            figures = (f"{k} {v:.3g}" for k, v in row.items() if isinstance(v, float))
            click.echo(f"{name} {row['contender']}: {', '.join(figures)}", err=True)
    if plot is not None:
        draw(plot, rows)
    header = list(rows[0])
    cells = [[row.get(key) for key in header] for row in rows]
    print_report("latency", header, cells, {**facts, "repeats": turns, "batch": 1})


if __name__ == "__main__":
    main()
