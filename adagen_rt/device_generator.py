"""The device loop behind the interface of ``Generator``: TensorRT's plans on a GPU."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from adagen_rt.backends.tensorrt.modules import find_module
from adagen_rt.backends.tensorrt.runtime import PlanGraphs, Plans
from adagen_rt.cuda import Driver, open_driver
from adagen_rt.device import Outcome, Runner, build_program
from adagen_rt.device.builder import Setting
from adagen_rt.device_result import BatchedResult
from adagen_rt.engine import Engine
from adagen_rt.errors import InputError
from adagen_rt.loop import Timings
from adagen_rt.request import MAX_BATCH, Request, Static, as_integer, make_request
from adagen_rt.result import Result, Step

#: Programs that stay captured; the one that was used least recently makes room for another.
MAX_PROGRAMS = 16


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


class DeviceGenerator:
    """An engine ready to generate on a GPU, each batch by replaying one CUDA graph.

    A program is built and captured when its number of samples, number of steps and schedule
    are first asked for. One thread at a time, as for ``Generator``.

    Args:
        engine: A checked engine folder.
        graphs: Its plans.
        driver: The GPU.
        stream: Where everything runs.
    """

    def __init__(self, engine: Engine, graphs: PlanGraphs, driver: Driver, stream: int) -> None:
        self.engine = engine
        self.manifest = engine.manifest
        self.backend = graphs.plans.backend
        self.batches = graphs.plans.batches
        self._graphs = graphs
        self._driver = driver
        self._stream = stream
        self._runners: OrderedDict[tuple[int, int, Static], Runner] = OrderedDict()

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
            fidelity: 0; the device loop asks one policy.
            refine: 1; the device loop tries one action.
            best_of: 1; the device loop has no reward model.
            batch_size: Samples that are generated together, at most the largest number that
                plans were built for. A smaller batch runs in the smallest plans that hold it.
            progress: Called after every batch: the host does not see a step of the device's.

        Raises:
            InputError: An argument is out of its range, or is not supported here.
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
        self._refuse(request)
        work = BatchedResult(request, self.manifest)
        size = min(batch_size, self.batches[-1])
        for first in range(0, len(request), size):
            rows = np.arange(first, min(first + size, len(request)))
            outcome = self._run(work, rows, static)
            work.add(rows, outcome)
            if progress is not None:
                progress(work.step(rows, outcome))
        return work.result()

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
        self._graphs.close()

    def _refuse(self, request: Request) -> None:
        """Say which option the device loop does not know."""
        given = {
            "fidelity": (float(request.fidelity.max()), 0),
            "refine": (request.refine, 1),
            "best_of": (request.best_of, 1),
        }
        for field, (value, neutral) in given.items():
            if value != neutral:
                expected = f"{neutral} with the backend {self.backend}; onnxruntime has it"
                raise InputError(field, value, expected)

    def _run(self, work: BatchedResult, rows: npt.NDArray[np.int64], static: Static) -> Outcome:
        """Generate samples in the smallest batch that holds them, filled up with repeats."""
        batch = next(batch for batch in self.batches if batch >= len(rows))
        runner = self._runner(batch, work.request.steps, static, work.timings)
        places = np.resize(rows, batch)
        work.timings.backbone_rows += 2 * batch * work.request.steps
        with work.timings.measure("device"):
            return runner.run(work.request.labels[places], work.request.seeds[places])

    def _runner(self, batch: int, steps: int, static: Static, timings: Timings) -> Runner:
        key = (batch, steps, static)
        if key not in self._runners:
            if len(self._runners) == MAX_PROGRAMS:
                self._runners.popitem(last=False)[1].close()
            with timings.measure("capture"):
                self._runners[key] = self._captured(batch, steps, static)
        self._runners.move_to_end(key)
        return self._runners[key]

    def _captured(self, batch: int, steps: int, static: Static) -> Runner:
        self._driver.activate()
        manifest = self.manifest
        if static == "tuned":
            tuned = manifest.schedule.tuned_spec()
            manifest = manifest.model_copy(update={"schedule": tuned})
        adaptive = self.has_policy and not static
        setting = Setting(
            manifest, self._graphs, self._driver, self._stream, batch, steps, adaptive
        )
        program = build_program(setting)
        try:
            runner = Runner(program, self._driver, self._stream)
        except BaseException:
            program.buffers.free()
            raise
        self._graphs.keep_kernels()
        return runner
