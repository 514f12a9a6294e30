"""Latency under load: continuous batching, static batching, one request at a time.

Regime: open loop. Requests arrive at random (Poisson) whatever the state of the server, and a
latency runs from the arrival that was drawn to the finished image. All contenders run the same
engine with the same threads and see the same arrivals, one contender after the other, in several
rounds; what is told are medians over the rounds, so that a stall of the machine in one of them does
not pass for somebody's tail. Static batching takes what waits, at most --max-batch, and runs it to
the end. Rates are shares of what `generate` makes in batches of --max-batch.

    python benchmarks/serving.py --engine fashion-dit [--plot FILE]
    python benchmarks/serving.py --engine fashion-dit --soak 10    # minutes; memory over time
"""

from __future__ import annotations

import queue
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
from timing import conditions, interleaved_medians, print_report
from worker import resident

from adagen_rt import load
from adagen_rt.cli.support.plots import check_plot
from adagen_rt.errors import AdagenError
from adagen_rt.pipeline.load import check_threads
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.serving import BatchEngine

HEADER = ("rate", "contender", "images_s", "p50_ms", "p95_ms", "p99_ms")
#: Static batching copes with a rate as long as its p99 is below so many idle latencies.
COPES = 3.0
Submit = Callable[[int, int], "Future[Any]"]


class StaticBatching:
    """Takes what waits and runs it to the end before it looks again."""

    def __init__(self, generator: StepwisePipeline, max_batch: int) -> None:
        self._generator, self._max_batch = generator, max_batch
        self._waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def submit(self, label: int, seed: int) -> Future[Any]:
        """Ask for an image."""
        future: Future[Any] = Future()
        self._waiting.put((label, seed, future))
        return future

    def __enter__(self) -> StaticBatching:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get())
            labels, seeds, futures = zip(*batch, strict=True)
            result = self._generator.generate(labels, seeds, batch_size=len(batch))
            for future, image in zip(futures, result.images, strict=True):
                future.set_result(image)


def drive(submit: Submit, arrivals: Sequence[float]) -> tuple[list[float], float]:
    """Submit at the given seconds from now.

    Returns:
        Latency of each request, and the seconds until all were done.
    """
    ends: dict[int, float] = {}
    futures, begin = [], time.monotonic()
    for number, arrival in enumerate(arrivals):
        time.sleep(max(0.0, begin + arrival - time.monotonic()))
        future = submit(number % 10, number)
        future.add_done_callback(lambda _, n=number: ends.__setitem__(n, time.monotonic()))
        futures.append(future)
    for future in futures:
        future.result()
    while len(ends) < len(futures):  # a result is there a moment before its callbacks have run
        time.sleep(0.001)
    seconds = [ends[n] - begin - arrival for n, arrival in enumerate(arrivals)]
    return seconds, time.monotonic() - begin


def compare(
    contenders: dict[str, Submit], rates: Sequence[float], requests: int, rounds: int
) -> list[dict[str, Any]]:
    """One row for every rate (requests a second) and contender."""
    rows = []
    for rate in rates:
        measured: dict[str, list[list[float]]] = {name: [] for name in contenders}
        for number in range(rounds):
            gaps = np.random.default_rng(number).exponential(1 / rate, requests)
            for name, submit in contenders.items():
                latencies, span = drive(submit, np.cumsum(gaps).tolist())
                tails = 1e3 * np.percentile(latencies, (50, 95, 99))
                measured[name].append([requests / span, *tails])
        for name, found in measured.items():
            medians = np.median(found, axis=0).tolist()
            rows.append(dict(zip(HEADER, (rate, name, *medians), strict=True)))
            click.echo(f"{rate:.3g}/s {name}: p99 {medians[-1]:.1f} ms", err=True)
    return rows


def verdict(rows: Sequence[dict[str, Any]], idle_ms: float) -> dict[str, Any]:
    """At the highest rate that static batching copes with, how much longer its tail is."""
    tails = {(row["rate"], row["contender"]): row["p99_ms"] for row in rows}
    rates = {row["rate"] for row in rows if tails[row["rate"], "static"] < COPES * idle_ms}
    if not rates:
        return {"copes_until": None, "static_over_continuous": None}
    best = max(rates)
    ratio = tails[best, "static"] / tails[best, "continuous"]
    return {"copes_until": best, "static_over_continuous": ratio}


def saturated(engine: BatchEngine, generator: StepwisePipeline, count: int, repeats: int) -> float:
    """Time of ``count`` images through the scheduler over that of `generate`."""

    def served() -> None:
        for job in [engine.submit(n % 10, n) for n in range(count)]:
            job.result()

    def direct() -> None:
        labels = [n % 10 for n in range(count)]
        generator.generate(labels, list(range(count)), batch_size=engine.max_batch)

    medians = interleaved_medians({"served": served, "direct": direct}, repeats)
    return medians["served"] / medians["direct"]


def capacity(generator: StepwisePipeline, batch: int) -> float:
    """Images a second of `generate` in full batches."""

    def full() -> None:
        generator.generate([n % 10 for n in range(batch)], list(range(batch)), batch_size=batch)

    return batch / interleaved_medians({"full": full}, 5)["full"]


def idle_latency(submit: Submit, count: int = 20) -> float:
    """Median milliseconds of requests that meet nobody."""
    seconds = []
    for number in range(count):
        begin = time.monotonic()
        submit(number % 10, number).result()
        seconds.append(time.monotonic() - begin)
    return 1e3 * statistics.median(seconds)


def soak(engine: BatchEngine, rate: float, minutes: float) -> list[tuple[float, int, float]]:
    """Minutes, images so far and resident GB, at half the rate that is possible."""
    rows, made, begin = [], 0, time.monotonic()
    while (passed := (time.monotonic() - begin) / 60) < minutes:
        gaps = np.random.default_rng(made).exponential(2 / rate, int(10 * rate))
        drive(lambda label, seed: engine.submit(label, seed).future, np.cumsum(gaps).tolist())
        made += len(gaps)
        rows.append((passed, made, resident()))
        click.echo(f"{passed:.1f} min: {made} images, {rows[-1][2]:.3f} GB", err=True)
    return rows


def draw(path: Path, rows: Sequence[dict[str, Any]], title: str) -> None:
    """The tail of the latencies by rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.6), layout="constrained")
    axis = figure.subplots()
    for name in dict.fromkeys(row["contender"] for row in rows):
        own = [row for row in rows if row["contender"] == name]
        axis.plot([row["rate"] for row in own], [row["p99_ms"] for row in own], "o-", label=name)
    axis.set(xlabel="requests a second", ylabel="p99 latency, ms", yscale="log", title=title)
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)


@click.command()
@click.option("--engine", "name", default="fashion-maskgit", show_default=True)
@click.option("--max-batch", type=click.IntRange(1, 64), default=16, show_default=True)
@click.option("--threads", type=int, default=2, show_default=True)
@click.option("--requests", type=click.IntRange(min=20), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(min=1), default=6, show_default=True)
@click.option("--shares", default="0.2,0.35,0.5,0.65,0.8", show_default=True, help="Of capacity.")
@click.option("--soak", "minutes", type=float, help="Only this: run for so many minutes.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of the tails.")
def main(
    name: str,
    max_batch: int,
    threads: int,
    requests: int,
    rounds: int,
    shares: str,
    minutes: float | None,
    plot: Path | None,
) -> None:
    """Measure; a table, and last a line of JSON."""
    try:
        facts = {"engine": name, "max_batch": max_batch, **conditions(check_threads(threads))}
        check_plot(plot)
        generator = load(name, threads=threads)
    except AdagenError as error:
        raise click.UsageError(str(error)) from error
    rate = capacity(generator, max_batch)
    facts["capacity_images_s"] = float(f"{rate:.4g}")
    with ExitStack() as stack:
        served = BatchEngine(name, max_batch=max_batch, max_queue=100_000, threads=threads)
        stack.enter_context(served)
        if minutes is not None:
            rows = soak(served, rate, minutes)
            print_report("serving_soak", ("minutes", "images", "resident_gb"), rows, facts)
            return
        static = stack.enter_context(StaticBatching(generator, max_batch))
        single = stack.enter_context(StaticBatching(load(name, threads=threads), 1))
        contenders: dict[str, Submit] = {
            "continuous": lambda label, seed: served.submit(label, seed).future,
            "static": static.submit,
            "single": single.submit,
        }
        idle = idle_latency(static.submit)
        overhead = saturated(served, load(name, threads=threads), 8 * max_batch, 5)
        rates = [float(share) * rate for share in shares.split(",")]
        measured = compare(contenders, rates, requests, rounds)
    if plot is not None:
        draw(plot, measured, f"{name}, {max_batch} slots, {requests * rounds} requests a point")
    facts |= {"idle_ms": float(f"{idle:.4g}"), "saturated_over_generate": round(overhead, 4)}
    facts |= {"requests": requests * rounds, **verdict(measured, idle)}
    print_report("serving", HEADER, [[row[key] for key in HEADER] for row in measured], facts)


if __name__ == "__main__":
    main()
