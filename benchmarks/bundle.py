"""A whole generation as one ONNX model against the pipeline that steps on the host.

Both run on the CPU with ONNX Runtime, in processes of their own that take turns, A B A B, on the
same labels and seeds. Load seconds and resident memory after the last run are beside the medians,
and what writing the model took.

    python benchmarks/bundle.py [ENGINE ...] [--batch 1,8] [--threads 1,2] [--repeats 15]
    python benchmarks/bundle.py --full-size all --out /tmp/engines --batch 1 --threads 2
        --repeats 3 --results /tmp/engines/bundle.jsonl

The second exports published networks with seeded weights first, and keeps them in ``--out``. With
``--results``, a line is added for each row as soon as it is there, and the same command goes on
after what is there. Two networks of more than a third of the memory are not loaded at once: the
sides then follow one another, which the column ``in turns`` tells.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
from full_size import FOLDER, RECIPES, measured
from kept import Row, keep_row, read_rows
from timing import conditions, interleaved_seconds, print_report
from worker import Calls, Worker, resident

from adagen_rt.engine.folder import open_engine

SHIPPED = ("fashion-maskgit", "fashion-var", "fashion-dit", "fashion-sit")
HEAD = (
    *("engine", "threads", "batch", "bundle s", "pipeline s", "ratio", "in turns"),
    *("bundle load s", "pipeline load s", "bundle GB", "pipeline GB", "weights GB", "peak/weights"),
)
#: What tells rows apart.
KEY = HEAD[:3]


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


def compare(
    engine: str, model: Path, threads: int, batches: tuple[int, ...], repeats: int
) -> Iterator[tuple[Any, ...]]:
    """Time both at every batch; a row each, without the engine's name and the threads."""
    weights = sum(path.stat().st_size for path in model.parent.iterdir())
    makers = [partial(calls, given, threads, batches) for given in (str(model), engine)]
    in_turns = 3 * weights < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if in_turns:
        with Worker(makers[0]) as bundle, Worker(makers[1]) as pipeline:
            found = measured_sides((bundle, pipeline), batches, repeats)
    else:
        found = []
        for maker in makers:
            with Worker(maker) as side:
                found += measured_sides((side,), batches, repeats)
    ours, theirs = found
    size = weights / 1e9
    for batch in batches:
        times = (ours[str(batch)], theirs[str(batch)], ours[str(batch)] / theirs[str(batch)])
        memory = (ours["memory"], theirs["memory"], size, ours["peak"] / size)
        yield batch, *times, in_turns, ours["load"], theirs["load"], *memory


def measured_sides(
    sides: tuple[Worker, ...], batches: tuple[int, ...], repeats: int
) -> list[dict[str, float]]:
    """Median seconds of each batch, seconds of loading, memory and its peak in GB, by name."""
    found: list[dict[str, float]] = [{} for _ in sides]
    for batch in map(str, batches):
        contenders: dict[str, Callable[[], object]] = {
            str(place): partial(side.call, batch) for place, side in enumerate(sides)
        }
        seconds = interleaved_seconds(contenders, repeats, warmups=1)
        for place in range(len(sides)):
            found[place][batch] = statistics.median(seconds[str(place)])
    for place, side in enumerate(sides):
        for name in ("load", "memory"):
            side.call(name)
            found[place][name] = float(side.value)
        found[place]["peak"] = side.peak
    return found


def keep(path: Path | None, row: Row) -> None:
    """Add a row to the file, and tell it."""
    rounded = {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}
    print(json.dumps(rounded), file=sys.stderr, flush=True)
    keep_row(path, rounded)


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
@click.option(
    "--full-size",
    type=click.Choice((*RECIPES, "all")),
    multiple=True,
    help="A published network, or all.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where published networks lie.")
@click.option("--results", type=click.Path(path_type=Path), help="A file to add rows to.")
@click.option("--batch", "batches", default="1,8", show_default=True, callback=numbers)
@click.option("--threads", default="1,2", show_default=True, callback=numbers)
@click.option("--repeats", type=click.IntRange(2), default=15, show_default=True)
def main(
    engines: tuple[str, ...],
    full_size: tuple[str, ...],
    out: Path | None,
    results: Path | None,
    batches: tuple[int, ...],
    threads: tuple[int, ...],
    repeats: int,
) -> None:
    """Time both; a table, and one line of JSON last."""
    if full_size and out is None:
        raise click.UsageError("--full-size needs --out.")
    recipes = RECIPES if "all" in full_size else full_size
    names = engines or (() if recipes else SHIPPED)
    rows = read_rows(results)
    written: dict[str, Row] = {}
    for engine in names:
        rows += time_engine(engine, out, rows, results, written, (threads, batches, repeats))
    for recipe in recipes:
        # Only now, so that what is there is told before the next network is exported.
        assert out is not None
        there = {tuple(row[key] for key in KEY) for row in rows}
        if not {(recipe, count, batch) for count in threads for batch in batches} <= there:
            engine = exported(recipe, out)
            rows += time_engine(engine, out, rows, results, written, (threads, batches, repeats))
    facts = {**conditions(max(threads)), "repeats": repeats, "written": written}
    print_report("bundle", HEAD, [[row[key] for key in HEAD] for row in rows], facts)


def time_engine(
    engine: str,
    out: Path | None,
    there: list[Row],
    results: Path | None,
    written: dict[str, Row],
    wanted: tuple[tuple[int, ...], tuple[int, ...], int],
) -> list[Row]:
    """Write an engine's model, and time it in every way of which there is no row."""
    threads, batches, repeats = wanted
    name = open_engine(engine).manifest.name
    known = {tuple(row[key] for key in KEY) for row in there}
    left = [
        count for count in threads if any((name, count, batch) not in known for batch in batches)
    ]
    made: list[Row] = []
    if not left:
        return made
    with tempfile.TemporaryDirectory(dir=out) as folder:
        model = Path(folder) / "one.onnx"
        seconds, peak = measured("bundle", engine, "--out", str(model))
        written[name] = {"seconds": round(seconds, 1), "peak_gigabytes": round(peak, 2)}
        for count in left:
            for cells in compare(engine, model, count, batches, repeats):
                made.append(dict(zip(HEAD, (name, count, *cells), strict=True)))
                keep(results, made[-1])
    return made


if __name__ == "__main__":
    main()
