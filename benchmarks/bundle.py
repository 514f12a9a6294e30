"""A whole generation as one ONNX model against the pipeline that steps on the host.

Both run on the CPU with ONNX Runtime, in processes of their own that take turns, A B A B, on the
same labels and seeds. Load seconds and resident memory after the last run are beside the medians,
and what writing the model took.

    python benchmarks/bundle.py [ENGINE ...] [--batch 1,8] [--threads 1,2] [--repeats 15]
    python benchmarks/bundle.py --full-size dit-xl-2 --out /tmp/engines --batch 1 --repeats 3

The second exports a published network with seeded weights first, and keeps it in ``--out``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from full_size import FOLDER, RECIPES, measured
from timing import conditions, interleaved_medians, print_report
from worker import Calls, Worker

from adagen_rt.engine.folder import open_engine

SHIPPED = ("fashion-maskgit", "fashion-var", "fashion-dit", "fashion-sit")
HEAD = (
    *("engine", "threads", "batch", "bundle s", "pipeline s", "ratio"),
    *("bundle load s", "pipeline load s", "bundle GB", "pipeline GB", "weights GB"),
)


def calls(engine: str, threads: int, batches: tuple[int, ...]) -> Calls:
    """Load an engine, and give a generation of each batch; called in a process of its own."""
    import adagen_rt

    begin = time.perf_counter()
    pipeline = adagen_rt.load(engine, threads=threads)
    seconds = time.perf_counter() - begin

    def generate(batch: int) -> None:
        given = pipeline.manifest.condition.examples(batch)
        asked = {pipeline.manifest.condition.noun: given}
        pipeline.generate(seeds=range(batch), batch_size=batch, **asked)

    return {
        "load": lambda: seconds,
        "memory": resident,
        **{str(batch): partial(generate, batch) for batch in batches},
    }


def resident() -> float:
    """Memory of this process that is resident, in GB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    line = next(line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e9


def compare(
    engine: str, model: Path, threads: int, batches: tuple[int, ...], repeats: int
) -> Iterator[tuple[Any, ...]]:
    """Time both at every batch; a row each."""
    weights = sum(path.stat().st_size for path in model.parent.iterdir()) / 1e9
    makers = [partial(calls, given, threads, batches) for given in (str(model), engine)]
    with Worker(makers[0]) as bundle, Worker(makers[1]) as pipeline:
        both = (bundle, pipeline)
        medians = {
            batch: interleaved_medians(
                {str(i): partial(worker.call, str(batch)) for i, worker in enumerate(both)}, repeats
            )
            for batch in batches
        }
        facts = [asked(worker, name) for name in ("load", "memory") for worker in both]
    for batch, found in medians.items():
        ours, theirs = found["0"], found["1"]
        yield engine, threads, batch, ours, theirs, ours / theirs, *facts, weights


def asked(worker: Worker, name: str) -> float:
    """Ask a process for a number."""
    worker.call(name)
    return float(worker.value)


def exported(recipe: str, out: Path) -> str:
    """Export a published network with seeded weights, unless it is there."""
    engine = out / f"{recipe}-fp32"
    if not engine.is_dir():
        source = str(FOLDER / f"{recipe}.yaml")
        measured("export", source, "--seeded", "golden6", "--out", str(engine))
    return str(engine)


def numbers(_: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    """Positive numbers from a list with commas."""
    parts = value.split(",")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"got {value!r}, expected numbers such as 1,8")
    return tuple(map(int, parts))


@click.command()
@click.argument("engines", nargs=-1)
@click.option("--full-size", type=click.Choice(RECIPES), multiple=True, help="A published network.")
@click.option("--out", type=click.Path(path_type=Path), help="Where published networks lie.")
@click.option("--batch", "batches", default="1,8", show_default=True, callback=numbers)
@click.option("--threads", default="1,2", show_default=True, callback=numbers)
@click.option("--repeats", type=click.IntRange(2), default=15, show_default=True)
def main(
    engines: tuple[str, ...],
    full_size: tuple[str, ...],
    out: Path | None,
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    repeats: int,
) -> None:
    """Time both; a table, and one line of JSON last."""
    if full_size and out is None:
        raise click.UsageError("--full-size needs --out.")
    named = [*engines, *(exported(recipe, out) for recipe in full_size if out)]
    rows, written = [], {}
    for engine in named or SHIPPED:
        name = open_engine(engine).manifest.name
        with tempfile.TemporaryDirectory(dir=out) as folder:
            model = Path(folder) / "one.onnx"
            seconds, peak = measured("bundle", engine, "--out", str(model))
            written[name] = {"seconds": round(seconds, 1), "peak_gigabytes": round(peak, 2)}
            for count in threads:
                print(f"{name}: {count} threads", file=sys.stderr)
                rows += compare(engine, model, count, batches, repeats)
    facts = {**conditions(max(threads)), "repeats": repeats, "written": written}
    print_report("bundle", HEAD, rows, facts)


if __name__ == "__main__":
    main()
