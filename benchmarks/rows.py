"""Threads that take different rows of a small graph, beside threads that share its operators.

Regime: whole generations on ONNX Runtime, float32, both ways in one process and in turns; medians.

    python benchmarks/rows.py [ENGINE ...] [--threads 1,2] [--batch 1,8] [--repeats 9]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from unittest import mock

import click
import numpy as np
from timing import conditions, interleaved_medians, print_report

from adagen_rt import load
from adagen_rt.backends.onnxruntime import session
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.sampling.result import Result

ENGINES = ("emoji-sit", "fashion-maskgit", "fashion-dit", "fashion-sit")
HEADER = ("engine", "threads", "batch", "operators_ms", "rows_ms", "times_as_fast", "largest_error")


def open_both(engine: str, threads: int) -> dict[str, Pipeline]:
    """Open an engine twice: with operators shared by the threads, and with rows dealt out."""
    with mock.patch.object(session, "is_small", return_value=False):
        shared = load(engine, threads=threads)
    return {"operators": shared, "rows": load(engine, threads=threads)}


def generation(pipeline: Pipeline, batch: int) -> Callable[[], Result]:
    """A call that makes a batch of images, of the condition's examples."""
    spec = pipeline.manifest.condition
    samples = {spec.noun: spec.examples(batch)}
    return partial(pipeline.generate, **samples, seeds=list(range(batch)), batch_size=batch)


def numbers(text: str) -> list[int]:
    """Read numbers with commas between them."""
    return [int(part) for part in text.split(",")]


@click.command()
@click.argument("engines", nargs=-1)
@click.option("--threads", default="1,2", show_default=True)
@click.option("--batch", default="1,2,4,8,16", show_default=True, help="Images made together.")
@click.option("--repeats", type=click.IntRange(min=2), default=9, show_default=True)
def main(engines: tuple[str, ...], threads: str, batch: str, repeats: int) -> None:
    """Measure; a table, and last a line of JSON."""
    rows = []
    for engine, count in product(engines or ENGINES, numbers(threads)):
        both = open_both(engine, count)
        for size in numbers(batch):
            calls = {way: generation(pipeline, size) for way, pipeline in both.items()}
            images = [call().images.astype(int) for call in calls.values()]
            error = int(np.abs(images[0] - images[1]).max())
            shared, own = interleaved_medians(calls, repeats, warmups=1).values()
            each = (1e3 * shared / size, 1e3 * own / size)
            rows.append((engine, count, size, *each, shared / own, error))
    print_report("rows", HEADER, rows, conditions(max(numbers(threads))))


if __name__ == "__main__":
    main()
