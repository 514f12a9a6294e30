"""The device loop behind the interface of ``Generator``: whole generations on a GPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from adagen_rt.backends.base import DeviceGraphs
from adagen_rt.backends.tensorrt.modules import find_module
from adagen_rt.backends.tensorrt.runtime import PlanGraphs, Plans
from adagen_rt.cuda import Driver, open_driver
from adagen_rt.engine.folder import Engine
from adagen_rt.errors import InputError
from adagen_rt.pipeline.captured_result import BatchedResult
from adagen_rt.program import HostCall, Outcome, Runner, build_program
from adagen_rt.program.builder import Setting
from adagen_rt.sampling.best_of import Rewards, keep_best, score_images
from adagen_rt.sampling.loop import Arrays, Timings
from adagen_rt.sampling.request import MAX_BATCH, Request, Static, as_integer, make_request
from adagen_rt.sampling.result import Result, Step

#: Programs that stay captured; the one that was used least recently makes room for another.
MAX_PROGRAMS = 16
#: Samples, steps, schedule and policies of a program.
Key = tuple[int, int, Static, tuple[str, ...]]


def open_device_generator(engine: Engine, backend: str) -> DeviceGenerator:
    """An engine's TensorRT plans, ready to generate on this machine's GPU.

    Args:
        engine: A checked engine folder.
        backend: ``tensorrt`` or ``tensorrt-rtx``.

    Raises:
        InputError: There is no such backend.
        MissingExtraError: It, or a CUDA driver's bindings, are not installed.
        DeviceError: There is no GPU, or none that the backend supports.
        PlanError: There are no plans, or they are damaged or made for something else.
    """
    find_module(backend).load()
    driver = open_driver(extra=backend)
    plans = Plans(engine, backend)
    stream = driver.new_stream()
    return DeviceGenerator(engine, PlanGraphs(plans, driver, stream), driver, stream)


class GenerationGraphs(DeviceGraphs, Protocol):
    """Who executes an engine's graphs on a GPU.

    Attributes:
        backend: What a user calls it.
        batches: Samples that graphs can be had for, ascending.
    """

    backend: str
    batches: tuple[int, ...]

    def keep_kernels(self) -> None:
        """Keep what was compiled; called when every graph that was made has run once."""

    def close(self) -> None:
        """Give the memory back; no graph runs after it."""


class DeviceGenerator:
    """An engine ready to generate on a GPU, each batch by replaying one CUDA graph.

    A program is built and captured when its number of samples, number of steps and schedule
    are first asked for. One thread at a time, as for ``Generator``.

    Args:
        engine: A checked engine folder.
        graphs: Who executes its graphs.
        driver: The GPU.
        stream: Where everything runs.
    """

    def __init__(
        self, engine: Engine, graphs: GenerationGraphs, driver: Driver, stream: int
    ) -> None:
        self.engine = engine
        self.manifest = engine.manifest
        self.backend = graphs.backend
        self.batches = graphs.batches
        self._graphs = graphs
        self._driver = driver
        self._stream = stream
        self._runners: OrderedDict[Key, Runner] = OrderedDict()
        self._rewards: dict[int, HostCall] = {}

    @property
    def has_policy(self) -> bool:
        """Whether the engine chooses per sample, or only knows its static schedule."""
        return "policy" in self.manifest.graphs

    def generate(
        self,
        labels: Sequence[int | str],
        seeds: Sequence[int] | None = None,
        *,
        steps: int | None = None,
        static: Static = False,
        fidelity: float | Sequence[float] = 0.0,
        refine: int = 1,
        best_of: int = 1,
        batch_size: int = 16,
        progress: Callable[[Step], object] | None = None,
    ) -> Result:
        """Generate one image for each label, as ``Generator.generate`` does.

        Args:
            labels: Class numbers or names.
            seeds: One integer for each label; None draws them.
            steps: Backbone evaluations.
            static: Whether, and which, static schedule is run.
            fidelity: From 0 to 1, for all samples or one for each.
            refine: 1; the device loop tries one action.
            best_of: Images that are made of each sample; the reward model keeps one.
            batch_size: Samples that are generated together, at most the last of ``batches``. A
                smaller batch runs in the smallest of these that holds it.
            progress: Called after every batch: the host does not see a step of the device's.

        Raises:
            InputError: An argument is out of its range, or is not supported here.
            EngineError: The engine lacks a graph that an argument needs.
            DeviceError: The GPU fails, or has too little memory.
        """
        request = make_request(
            self.manifest,
            labels,
            seeds,
            steps,
            static=static,
            fidelity=fidelity,
            refine=refine,
            best_of=best_of,
        )
        as_integer("batch_size", batch_size, 1, MAX_BATCH)
        if request.refine != 1:
            expected = f"1 with the backend {self.backend}; onnxruntime has it"
            raise InputError("refine", request.refine, expected)
        timings, size = Timings(), min(batch_size, self.batches[-1])
        make = partial(self._make, timings, static, size, progress)
        if request.best_of == 1:
            return make(request)
        return keep_best(request, make, partial(self._score, timings, size))

    def stream(
        self, labels: Sequence[int | str], *arguments: object, **options: object
    ) -> Iterator[Step]:
        """Refused: the host sees no step of a generation that is one CUDA graph.

        Raises:
            InputError: Always.
        """
        raise InputError("stream", self.backend, "the backend onnxruntime, which goes step by step")

    def close(self) -> None:
        """Give the GPU's memory back; nothing is generated after it."""
        self._driver.activate()
        while self._runners:
            self._runners.popitem()[1].close()
        while self._rewards:
            self._rewards.popitem()[1].close()
        self._graphs.close()

    def _make(
        self,
        timings: Timings,
        static: Static,
        size: int,
        progress: Callable[[Step], object] | None,
        request: Request,
    ) -> Result:
        """One image of every sample, so many at a time."""
        work = BatchedResult(request, self.manifest, timings)
        for first in range(0, len(request), size):
            rows = np.arange(first, min(first + size, len(request)))
            outcome = self._run(work, rows, static)
            work.add(rows, outcome)
            if progress is not None:
                progress(work.step(rows, outcome))
        return work.result()

    def _run(self, work: BatchedResult, rows: npt.NDArray[np.int64], static: Static) -> Outcome:
        """Generate samples in the smallest batch that holds them, filled up with repeats."""
        request, batch = work.request, self._batch(len(rows))
        key = (batch, request.steps, static, self._policies(request, static))
        runner = self._runner(key, work.timings)
        places = np.resize(rows, batch)
        work.timings.backbone_rows += 2 * batch * request.steps
        with work.timings.measure("device"):
            return runner.run(
                request.labels[places], request.seeds[places], request.fidelity[places]
            )

    def _score(self, timings: Timings, size: int, result: Result) -> Rewards:
        with timings.measure("reward"):
            self._driver.activate()
            return score_images(self._reward, result.images, result.labels, size)

    def _reward(self, feeds: Arrays) -> Arrays:
        """The reward model, in the smallest batch that holds the rows, filled up with repeats."""
        count = len(feeds["labels"])
        batch = self._batch(count)
        if batch not in self._rewards:
            inputs = self.manifest.graphs["reward"].inputs
            shapes = {tensor.name: (batch, *feeds[tensor.name].shape[1:]) for tensor in inputs}
            graph = self._graphs.graph("reward", shapes)
            self._rewards[batch] = HostCall(graph, self._driver, self._stream)
        places = np.resize(np.arange(count), batch)
        outputs = self._rewards[batch]({name: values[places] for name, values in feeds.items()})
        return {name: values[:count] for name, values in outputs.items()}

    def _batch(self, count: int) -> int:
        """The smallest number of samples, at least so many, that there are plans for."""
        return next(batch for batch in self.batches if batch >= count)

    def _policies(self, request: Request, static: Static) -> tuple[str, ...]:
        if static or not self.has_policy:
            return ()
        return ("policy", "fidelity_policy") if request.fidelity.any() else ("policy",)

    def _runner(self, key: Key, timings: Timings) -> Runner:
        if key not in self._runners:
            if len(self._runners) == MAX_PROGRAMS:
                self._runners.popitem(last=False)[1].close()
            with timings.measure("capture"):
                self._runners[key] = self._captured(*key)
        self._runners.move_to_end(key)
        return self._runners[key]

    def _captured(
        self, batch: int, steps: int, static: Static, policies: tuple[str, ...]
    ) -> Runner:
        self._driver.activate()
        manifest = self.manifest
        if static == "tuned":
            tuned = manifest.schedule.tuned_spec()
            manifest = manifest.model_copy(update={"schedule": tuned})
        setting = Setting(
            manifest, self._graphs, self._driver, self._stream, batch, steps, policies
        )
        program = build_program(setting)
        try:
            runner = Runner(program, self._driver, self._stream)
        except BaseException:
            program.buffers.free()
            raise
        self._graphs.keep_kernels()
        return runner
