"""The best way to use a machine, for `bench` and `serve`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from adagen_rt.backends import Execution
from adagen_rt.cli.support.tables import table
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.errors import InputError
from adagen_rt.evaluation.kept_rates import find_rate, keep_rate
from adagen_rt.evaluation.throughput import Rate, Task, best_rate, list_splits, measure_rates
from adagen_rt.progress import bar
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.system import available_threads, load_average, processor_name


def throughput_page(
    engine: EngineFolder,
    params: SamplingParams,
    batches: tuple[int, ...],
    execution: Execution,
    as_json: bool,
) -> str:
    """Measure an engine's throughput, keep the best way, and tell all.

    Raises:
        InputError: The engine would not run on ONNX Runtime's CPU.
    """
    if (execution.backend, execution.provider) != ("onnxruntime", None):
        expected = "onnxruntime on the CPU, whose threads are dealt out"
        raise InputError("backend", execution.backend, expected)
    threads = execution.threads or available_threads()
    rates = _measure(engine, Task(engine.path, params, batches), threads, quiet=as_json)
    best = best_rate(rates)
    if threads == available_threads():
        keep_rate(engine.hash, best)
    facts = {
        "engine": engine.manifest.name,
        "processor": processor_name(),
        "threads": threads,
        "load_before": load_average(),
    }
    if as_json:
        return json.dumps({**facts, "best": _row(best), "results": [_row(rate) for rate in rates]})
    title = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    header = ("processes", "threads of each", "batch", "images/s", "of the best")
    rows = [
        (
            *(str(value) for value in (*vars(rate.split).values(), rate.batch)),
            f"{rate.images_per_second:.3g}",
            f"{rate.images_per_second / best.images_per_second:.2f}",
        )
        for rate in rates
    ]
    return f"{title}\n\n{table(header, rows)}\n\nbest: {_words(best)}"


def count_workers(engines: Iterable[EngineFolder]) -> int:
    """Tell how many processes serve engines best: as was found for the slowest of them.

    What `bench --throughput` has not measured on this machine is measured now.
    """
    rates = []
    for engine in engines:
        rate = find_rate(engine.hash)
        if rate is None:
            LOGGER.info("measuring the throughput of %s", engine.manifest.name)
            params = SamplingParams().check(engine.manifest)
            rate = best_rate(_measure(engine, Task(engine.path, params), available_threads(), True))
            keep_rate(engine.hash, rate)
        LOGGER.info("%s: best with %s", engine.manifest.name, _words(rate))
        rates.append(rate)
    return min(rates, key=lambda rate: rate.images_per_second).split.processes


def _measure(engine: EngineFolder, task: Task, threads: int, quiet: bool) -> list[Rate]:
    splits = list_splits(threads)
    total, rates = len(splits) * len(task.batches), []
    with bar(total=total, unit="rate", hidden=quiet, leave=False) as progress:
        for rate in measure_rates(task, splits):
            rates.append(rate)
            progress.update()
    return rates


def _row(rate: Rate) -> dict[str, Any]:
    rest = asdict(rate)
    return {**rest.pop("split"), **rest}


def _words(rate: Rate) -> str:
    split = rate.split
    processes = "1 process" if split.processes == 1 else f"{split.processes} processes"
    threads = "1 thread" if split.threads == 1 else f"{split.threads} threads"
    each = f"{threads}, {rate.batch} images together"
    return f"{processes} of {each}: {rate.images_per_second:.3g} images a second"
