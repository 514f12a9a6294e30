"""One worker of a job: it loads the engine, and makes a shard after the other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adagen_rt.backends import Execution
from adagen_rt.bulk.formats import FORMATS
from adagen_rt.bulk.plan import Plan
from adagen_rt.bulk.targets import Target, open_target
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import EngineError, as_integer
from adagen_rt.pipeline.base import OnStep
from adagen_rt.pipeline.load import make_pipeline
from adagen_rt.sampling.request import MAX_BATCH


@dataclass(frozen=True)
class Work:
    """What every worker of a job has to know; it travels to other processes and machines.

    Attributes:
        engine: Path or name of the engine.
        digest: The engine's hash.
        plan: All images.
        out: Where the shards go: a folder or a URL.
        kind: Their format.
        batch_size: Images that are generated together, which changes no image.
        execution: Who runs the graphs.
    """

    engine: str
    digest: str
    plan: Plan
    out: str
    kind: str
    batch_size: int
    execution: Execution

    def __post_init__(self) -> None:
        as_integer("batch-size", self.batch_size, 1, MAX_BATCH)

    def name(self, shard: int) -> str:
        """Name a shard's file or folder."""
        return self.plan.name(shard) + FORMATS[self.kind].suffix

    def missing(self, target: Target, shards: range) -> list[int]:
        """List those of ``shards`` that are not there."""
        there = target.names(FORMATS[self.kind].marker)
        return [shard for shard in shards if self.name(shard) not in there]


@dataclass(frozen=True)
class Made:
    """A shard that was made.

    Attributes:
        shard: Its number.
        images: Images in it.
        failures: Numbers of the samples that met a non-finite number, with the step of each.
    """

    shard: int
    images: int
    failures: dict[int, int]


class Maker:
    """Makes shards.

    Raises:
        EngineError: The engine here is not that of the job.
    """

    def __init__(self, work: Work) -> None:
        engine = open_engine(work.engine)
        if engine.hash != work.digest:
            told = f"hash: got {engine.hash[:12]}…, expected {work.digest[:12]}…, as the job has it"
            raise EngineError(f"{engine.path}: {told}")
        self._work, self._target = work, open_target(work.out)
        self._pipeline = make_pipeline(engine, work.execution)

    def make(self, shard: int, progress: OnStep | None = None) -> Made:
        """Make a shard and put it in its place."""
        work, form = self._work, FORMATS[self._work.kind]
        request = work.plan.request(self._pipeline.manifest, shard)
        result = self._pipeline.run(request, batch_size=work.batch_size, progress=progress)
        numbers = work.plan.numbers(shard)
        result = result.numbered(numbers)

        def write(path: Path) -> None:
            form.write(path, result, work.plan.count)

        self._target.put(work.name(shard), write, form.marker)
        failures = {int(numbers[place]): step for place, step in result.failures.items()}
        return Made(shard, len(result.good), failures)
