"""A pipeline whose whole generation is one CUDA graph."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import numpy as np

from adagen_rt.backends import Execution
from adagen_rt.backends.base import DeviceSessions
from adagen_rt.condition import count_rows
from adagen_rt.cuda import Driver
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.lru import LruCache
from adagen_rt.pipeline.base import OnStep, Pipeline
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.program import HostCall, Runner, build_program
from adagen_rt.program.setting import Setting
from adagen_rt.sampling.batches import Outcome, run_batches
from adagen_rt.sampling.best_of import Keeper, Rewards, score_images
from adagen_rt.sampling.loop import Timings
from adagen_rt.sampling.params import ScheduleName
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.types import Arrays

#: Programs that stay captured; a new one replaces the least recently used.
MAX_PROGRAMS = 16


class GenerationSessions(DeviceSessions, Protocol):
    """A GPU backend of an engine's graphs for whole generations.

    Attributes:
        backend: The backend's name.
        batches: Batch sizes that graphs are available for, ascending.
    """

    backend: str
    batches: tuple[int, ...]

    def keep_kernels(self) -> None:
        """Save compiled kernels; called when every graph has run once."""

    def close(self) -> None:
        """Give the memory back; no graph runs after it."""


class CapturedPipeline(Pipeline):
    """An engine on a GPU, each batch by replaying one CUDA graph.

    A program is built and captured when its number of samples, number of steps and schedule
    are first asked for. A batch runs in the smallest one that holds it.

    Args:
        engine: A checked engine folder.
        graphs: The backend that executes its graphs.
        driver: The GPU.
        stream: Stream that runs all work.
    """

    def __init__(
        self, engine: EngineFolder, graphs: GenerationSessions, driver: Driver, stream: int
    ) -> None:
        lacks = Capabilities(
            streams=False, refines=False, reuses=False, batches=graphs.batches, sizes=False
        )
        super().__init__(engine, Execution(graphs.backend), lacks)
        self._graphs = graphs
        self._driver = driver
        self._stream = stream
        self._runners = LruCache(MAX_PROGRAMS, Runner.close)
        self._rewards = LruCache(len(graphs.batches), HostCall.close)

    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result:
        timings, size = Timings(), min(batch_size, self.capabilities.batches[-1])
        make = partial(self._make, timings, size, progress)
        if request.params.best_of == 1:
            return make(request)

        def score(result: Result) -> Rewards:
            with timings.measure("reward"):
                return self._score_rows(result.images, result.rows, size)

        return Keeper(request, make, score).best_of(request.params.best_of)

    def _score_rows(self, images: Images, rows: Arrays, batch_size: int) -> Rewards:
        self._driver.activate()
        size = min(batch_size, self.capabilities.batches[-1])
        asked = {name: rows[name] for name in self.manifest.condition.tensors}
        return score_images(self._reward, images, asked, size)

    def facts(self) -> dict[str, Any]:
        """See `Pipeline`."""
        return {"backend": self.backend, "plans": " ".join(map(str, self.capabilities.batches))}

    def _close(self) -> None:
        self._driver.activate()
        self._runners.clear()
        self._rewards.clear()
        self._graphs.close()

    def _make(
        self, timings: Timings, size: int, progress: OnStep | None, request: Request
    ) -> Result:
        """Make one image of every sample, ``size`` at a time."""
        run = partial(self._run_batch, timings)
        return run_batches(request, self.manifest, timings, size, run, progress)

    def _run_batch(self, timings: Timings, request: Request) -> Outcome:
        """Generate samples in the smallest batch that holds them, filled up with repeats."""
        batch = self._batch(len(request))
        filled = request.take(np.resize(np.arange(len(request)), batch))
        schedule = request.params.schedule
        assert schedule is not None  # a checked object has it
        key = batch, request.steps, schedule, _policies(filled)

        def make() -> Runner:
            with timings.measure("capture"):
                return self._captured(*key)

        runner = self._runners.fetch(key, make)
        timings.backbone_rows += self.manifest.condition.copies * batch * request.steps
        with timings.measure("device"):
            return runner.run(filled.rows, filled.seeds, filled.fidelity)

    def _reward(self, feeds: Arrays) -> Arrays:
        """Run the reward model in the smallest batch that holds the rows, filled with repeats."""
        count = count_rows(feeds)
        batch = self._batch(count)

        def make() -> HostCall:
            inputs = self.manifest.graphs["reward"].inputs
            shapes = {tensor.name: (batch, *feeds[tensor.name].shape[1:]) for tensor in inputs}
            return HostCall(self._graphs.graph("reward", shapes), self._driver, self._stream)

        places = np.resize(np.arange(count), batch)
        reward = self._rewards.fetch(batch, make)
        outputs = reward({name: values[places] for name, values in feeds.items()})
        return {name: values[:count] for name, values in outputs.items()}

    def _batch(self, count: int) -> int:
        """Return the smallest available batch size that holds ``count`` samples."""
        return next(batch for batch in self.capabilities.batches if batch >= count)

    def _captured(
        self, batch: int, steps: int, schedule: ScheduleName, policies: tuple[str, ...]
    ) -> Runner:
        self._driver.activate()
        manifest = self.manifest
        if schedule == "tuned":
            manifest = manifest.with_schedule(manifest.schedule.tuned_spec())
        setting = Setting(
            manifest, self._graphs, self._driver, self._stream, batch, steps, policies
        )
        runner = Runner(build_program(setting), self._driver, self._stream)
        self._graphs.keep_kernels()
        return runner


def _policies(request: Request) -> tuple[str, ...]:
    """Return the names of the policy graphs that run at every call."""
    if request.params.schedule != "policy":
        return ()
    return ("policy", "fidelity_policy") if request.params.blended else ("policy",)
