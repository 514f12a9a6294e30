"""The options of `bulk`, and the job that they describe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adagen_rt.backends import DEVICE_BACKENDS, Execution
from adagen_rt.bulk.devices import read_devices
from adagen_rt.bulk.formats import FORMATS, check_format
from adagen_rt.bulk.making import Made, Maker, Work
from adagen_rt.bulk.merge import SUFFIX
from adagen_rt.bulk.plan import Plan
from adagen_rt.bulk.ranks import Rank, find_rank
from adagen_rt.bulk.record import RECORD, describe_job, settle
from adagen_rt.bulk.targets import open_target
from adagen_rt.bulk.workers import import_ray, make_here, make_in_processes, make_in_ray
from adagen_rt.cli.support.asked import read_asked
from adagen_rt.cli.support.classes import expand_labels
from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.errors import InputError, as_integer
from adagen_rt.files import check_writable
from adagen_rt.pipeline.load import check_threads
from adagen_rt.sampling.formats import check_suffix
from adagen_rt.sampling.params import SamplingParams

MAX_WORKERS = 4096


@dataclass(frozen=True)
class JobOptions:
    """What was typed; each field is an option.

    Attributes:
        engine: The engine's folder or name.
        count: Images; None takes as many as the file has lines.
        shard_size: Images of a shard.
        out: Where the shards go.
        kind: Their format.
        label: Classes.
        lines: A file of conditions.
        negative_prompt: What guidance leads away from, where the file does not say it.
        seed: Seed of the first image.
        batch_size: Images that are made together.
        rank: Number of this process.
        world: Number of processes.
        workers: Workers that this process starts.
        launcher: What they are.
        devices: Numbers of GPUs, of which each worker has one.
        merge: A file for all images.
        mixed: Whether shards may be of other processors and versions.
        params: Sampling parameters.
        execution: Who runs the graphs.
    """

    engine: str
    count: int | None
    shard_size: int
    out: str
    kind: str
    label: tuple[str, ...]
    lines: Path | None
    negative_prompt: str | None
    seed: int
    batch_size: int
    rank: int | None
    world: int | None
    workers: int
    launcher: str
    devices: str | None
    merge: Path | None
    mixed: bool
    params: SamplingParams
    execution: Execution

    def plan(self, engine: EngineFolder) -> Plan:
        """Say what is to be made.

        Raises:
            AdagenError: The engine cannot make that.
        """
        if self.lines is not None and self.label:
            raise InputError("from", str(self.lines), "no --label beside it: it says the classes")
        if self.lines is None and self.negative_prompt is not None:
            raise InputError("negative-prompt", self.negative_prompt, "--from, a file of prompts")
        asked: tuple[Any, ...]
        if self.lines is not None:
            asked = read_asked(engine.manifest.condition, self.lines, self.negative_prompt)
        elif not self.label and not isinstance(engine.manifest.condition, ClassLabels):
            expected = f"a file with a prompt a line: {engine.manifest.name} takes prompts"
            raise InputError("from", "nothing", expected)
        else:
            asked = tuple(expand_labels(engine.manifest, self.label))
        count = self.count
        if count is None:
            if self.lines is None:
                raise InputError("count", "nothing", "--count N, or --from with a line an image")
            count = len(asked)
        params = self.params.check(engine.manifest)
        return Plan(asked, count, self.shard_size, self.seed, params)

    @property
    def gpus(self) -> tuple[int, ...]:
        """Numbers of the GPUs that workers have."""
        return read_devices(self.devices, self.execution)

    @property
    def processes(self) -> int:
        """Workers: at least one for each GPU."""
        return max(self.workers, len(self.gpus))

    def place(self) -> Rank:
        """Find which part of the job this process has.

        Raises:
            InputError: Options contradict, or a number is missing.
        """
        place = find_rank(self.rank, self.world, os.environ)
        as_integer("workers", self.workers, 1, MAX_WORKERS)
        if self.gpus and self.launcher == "ray":
            raise InputError("devices", self.devices, "none with --launcher ray, which places GPUs")
        if self.launcher == "ray" and place.world > 1:
            raise InputError("launcher", f"ray in {place.world} processes", "--rank 0 --world 1")
        if self.merge is not None:
            if place.world > 1:
                expected = "--rank 0 --world 1, when all processes are done"
                raise InputError("merge", f"in one of {place.world} processes", expected)
            check_suffix("merge", self.merge, (SUFFIX,))
            check_writable("merge", self.merge)
        return place

    def work(self, engine: EngineFolder, plan: Plan) -> Work:
        """Say what every worker has to know."""
        by_path = engine.path == Path(self.engine)
        execution = self.execution
        on_host = execution.backend not in DEVICE_BACKENDS and self.launcher == "processes"
        if self.workers > 1 and execution.threads is None and on_host:
            threads = max(1, check_threads(None) // self.workers)
            execution = replace(execution, threads=threads)
        return Work(
            engine=str(engine.path.resolve()) if by_path else self.engine,
            digest=engine.hash,
            plan=plan,
            out=self.out,
            kind=self.kind,
            batch_size=self.batch_size,
            execution=execution,
        )


class Job:
    """A job that has been checked; its record lies beside its shards.

    Raises:
        AdagenError: Something cannot be made or written, or is there and of another job.
    """

    def __init__(self, options: JobOptions) -> None:
        self.place = options.place()
        engine = open_engine(options.engine)
        check_format(options.kind)
        self.work = options.work(engine, plan := options.plan(engine))
        self.manifest = engine.manifest.at(plan.params.extent)
        self.target = open_target(options.out)
        self._check_strangers()
        self._workers, self._launcher = options.processes, options.launcher
        self._devices = options.gpus
        # A backend that is not there is found before anything is written.
        alone = options.launcher == "processes" and self._workers == 1 and not self._devices
        self.shards = self.place.share(self.work.plan.shards)
        self._maker = Maker(self.work) if alone and self.missing() else None
        if self._launcher == "ray" and self.missing():
            import_ray()
        record = describe_job(engine, self.work.plan, options.kind, options.execution)
        settle(self.target, record, options.mixed)

    def missing(self) -> list[int]:
        """List this process's shards that are not there."""
        return self.work.missing(self.target, self.shards)

    def make(self) -> Iterator[Made]:
        """Make what is missing."""
        missing = self.missing()
        if not missing:
            return iter(())
        if self._maker is not None:
            return make_here(self._maker, missing)
        if self._launcher == "ray":
            return make_in_ray(self.work, missing, self._workers)
        return make_in_processes(self.work, missing, self._workers, self._devices)

    def _check_strangers(self) -> None:
        """Refuse shards without a record: nobody knows what they are."""
        form = FORMATS[self.work.kind]
        there = self.target.names(form.marker)
        names = there & {self.work.name(shard) for shard in self.work.plan.shards}
        if names and RECORD not in (self.target.names(None) if form.marker else there):
            expected = f"a folder without shards, or with a {RECORD}: {min(names)} is there"
            raise InputError("out", str(self.target), expected)
