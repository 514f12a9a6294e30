"""Throughput of a machine by processes, threads of each, and whether idle threads spin.

Regime: whole generations on ONNX Runtime, float32, all processes of a way at once, each of several
on CPUs of its own. Ways take turns, so that a busy moment meets them all; medians. An idle thread
of ONNX Runtime's spins until the session's run ends (`in a run`, this package's way), for a while
longer (`always`, ONNX Runtime's own), or not at all (`never`): that concerns graphs whose operators
threads share, VAR's backbone among the shipped ones. Others have their rows dealt out (rows.py).

    python benchmarks/processes.py [--engine fashion-var] [--threads 2] [--repeats 9]
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
from timing import conditions, interleaved_medians, print_report
from worker import Calls, Worker

from adagen_rt import load
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.evaluation.throughput import list_splits
from adagen_rt.pipeline.load import check_threads

#: Entries of a session's configuration.
SPINNING: Mapping[str, Mapping[str, str]] = {
    "in a run": {},
    "always": {"session.force_spinning_stop": "0"},
    "never": {"session.intra_op.allow_spinning": "0"},
}
HEADER = ("processes", "threads", "spinning", "images_per_s", "of_the_best")


def generations(
    engine: str, batch: int, threads: int, spinning: str, cpus: list[int] | None
) -> Calls:
    """Load an engine in a process of its own; the contender makes ``batch`` images."""
    if cpus:
        os.sched_setaffinity(0, cpus)
    usual = OnnxRuntime._options

    def options(self: OnnxRuntime, folder: Path, sizes: int, threads: int) -> Any:
        made = usual(self, folder, sizes, threads)
        for name, value in SPINNING[spinning].items():
            made.add_session_config_entry(name, value)
        return made

    OnnxRuntime._options = options  # type: ignore[method-assign]
    pipeline = load(engine, threads=threads)
    samples = pipeline.manifest.condition.examples(batch)
    seeds = list(range(batch))
    field = pipeline.manifest.condition.noun
    call = partial(pipeline.generate, **{field: samples}, seeds=seeds, batch_size=batch)
    return {"generate": lambda: len(call().images)}


def at_once(pool: ThreadPoolExecutor, workers: list[Worker]) -> Callable[[], object]:
    """A call that lets all processes of a way generate, and waits for the last."""
    return lambda: list(pool.map(lambda worker: worker.call("generate"), workers))


@click.command()
@click.option("--engine", default="fashion-var", show_default=True)
@click.option("--threads", type=int, default=2, show_default=True, help="Of all processes.")
@click.option("--batch", default=8, show_default=True, help="Images of a process.")
@click.option("--repeats", type=click.IntRange(min=2), default=9, show_default=True)
def main(engine: str, threads: int, batch: int, repeats: int) -> None:
    """Measure; a table, and last a line of JSON."""
    cpus = sorted(os.sched_getaffinity(0))
    ways = list(product(list_splits(check_threads(threads)), SPINNING))
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        calls = {}
        for split, spinning in ways:
            own, count = split.threads, split.processes
            shares = [cpus[n * own :][:own] if count > 1 else None for n in range(count)]
            make = partial(generations, engine, batch, own, spinning)
            workers = [stack.enter_context(Worker(partial(make, share))) for share in shares]
            calls[f"{count} {own} {spinning}"] = at_once(pool, workers)
        medians = interleaved_medians(calls, repeats)
    rates = [
        split.processes * batch / seconds
        for (split, _), seconds in zip(ways, medians.values(), strict=True)
    ]
    rows = [
        (split.processes, split.threads, spinning, rate, rate / max(rates))
        for (split, spinning), rate in zip(ways, rates, strict=True)
    ]
    facts = {"engine": engine, "batch": batch, **conditions(threads)}
    print_report("processes", HEADER, rows, facts)


if __name__ == "__main__":
    main()
