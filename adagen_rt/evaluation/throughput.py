"""Throughput of a machine: with how many processes, threads and images together it is highest."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

from adagen_rt.errors import AdagenError, StoppedError
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request

#: Images made together that are tried.
BATCHES = (1, 2, 4, 8, 16)
#: Seconds that a number of images together is tried for.
SECONDS = 2.0


@dataclass(frozen=True)
class Split:
    """Shares of a machine.

    Attributes:
        processes: Processes that generate at once.
        threads: CPU threads of each.
    """

    processes: int
    threads: int


@dataclass(frozen=True)
class Rate:
    """Measured throughput.

    Attributes:
        split: Processes and their threads.
        batch: Images that each process makes together.
        images_per_second: Images of all processes in a second.
    """

    split: Split
    batch: int
    images_per_second: float


@dataclass(frozen=True)
class Task:
    """Work of every process.

    Attributes:
        engine: An engine folder.
        params: Sampling parameters.
        batches: Images together, one number after the other.
        seconds: How long each is tried.
    """

    engine: Path
    params: SamplingParams
    batches: tuple[int, ...] = BATCHES
    seconds: float = SECONDS


def list_splits(threads: int) -> list[Split]:
    """List the ways to deal out CPU threads to processes evenly, one process first."""
    counts = (number for number in range(1, threads + 1) if threads % number == 0)
    return [Split(number, threads // number) for number in counts]


def measure_rates(task: Task, splits: Sequence[Split]) -> Iterator[Rate]:
    """Generate in many processes at once, each on CPUs of its own where the system allows it.

    Yields:
        A rate for each number of images together and each split.

    Raises:
        AdagenError: A process cannot generate, or was killed.
    """
    for split in splits:
        yield from _measure(task, split)


def best_rate(rates: Sequence[Rate]) -> Rate:
    """Choose the highest throughput."""
    return max(rates, key=lambda rate: rate.images_per_second)


def _measure(task: Task, split: Split) -> Iterator[Rate]:
    spawn = multiprocessing.get_context("spawn")
    barrier, shares = spawn.Barrier(split.processes), _shares(split)
    workers, pipes = [], []
    try:
        for cpus in shares:
            here, there = spawn.Pipe(duplex=False)
            arguments = task, split.threads, cpus, barrier, there
            workers.append(spawn.Process(target=_work, args=arguments, daemon=True))
            workers[-1].start()
            there.close()
            pipes.append(here)
        for batch in task.batches:
            yield Rate(split, batch, sum(_receive(pipe) for pipe in pipes))
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def _receive(pipe: Connection) -> float:
    try:
        found = pipe.recv()
    except EOFError:
        raise StoppedError("a process that measured has ended; it may lack memory") from None
    if isinstance(found, BaseException):
        raise found
    return float(found)


def _shares(split: Split) -> list[list[int]]:
    """Deal out the CPUs of this process; nothing where one process has them all."""
    if split.processes == 1 or not hasattr(os, "sched_getaffinity"):
        return [[]] * split.processes
    cpus, own = sorted(os.sched_getaffinity(0)), split.threads
    return [cpus[number * own : (number + 1) * own] for number in range(split.processes)]


def _work(task: Task, threads: int, cpus: list[int], barrier: Any, pipe: Connection) -> None:
    """Generate in a process, and send images a second for each number of images together."""
    try:
        if cpus:
            with suppress(OSError):  # a container may not allow it
                os.sched_setaffinity(0, cpus)
        pipeline = load(task.engine, threads=threads)
        for batch in task.batches:
            samples = pipeline.manifest.condition.examples(batch)

            def generate(number: int, samples: list[Any] = samples) -> None:
                seeds = range(number * len(samples), (number + 1) * len(samples))
                request = make_request(pipeline.manifest, samples, seeds, task.params)
                pipeline.run(request, batch_size=len(samples))

            generate(0)
            barrier.wait()
            pipe.send(_rate(generate, batch, task.seconds))
    except BrokenBarrierError:  # another process says why
        return
    except AdagenError as error:
        barrier.abort()
        pipe.send(error)


def _rate(generate: Callable[[int], None], batch: int, seconds: float) -> float:
    begin = time.perf_counter()
    for number in count(1):
        generate(number)
        passed = time.perf_counter() - begin
        if passed >= seconds:
            return batch * number / passed
    raise AssertionError  # counting has no end
