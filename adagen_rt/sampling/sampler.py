"""Samplers make the images of a request step by step, for pipelines, servers and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.manifest import Manifest
from adagen_rt.ops.reference import to_pixels
from adagen_rt.sampling.assembly import Assembly
from adagen_rt.sampling.best_of import Keeper, Rewards, score_images
from adagen_rt.sampling.driver import Stepped, drive
from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.memory import HOST, Memory
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.playback import Outputs, PlayedLoop, RecordedLoop, no_outputs
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import (
    Images,
    Result,
    Snapshot,
    Step,
    Trace,
    blank_images,
    count_evaluations,
)
from adagen_rt.sampling.rule import State
from adagen_rt.types import Arrays

OnStep = Callable[[Step], object]


class Sampler:
    """Makes images with graphs, on the host or as tensors of a device.

    Calls share only the graphs' buffers; therefore, only one thread at a time may call.

    Args:
        assembly: The graphs.
        memory: Transfers between the host and the graphs' arrays.
    """

    def __init__(self, assembly: Assembly, memory: Memory = HOST) -> None:
        self.assembly = assembly
        self.memory = memory

    @property
    def manifest(self) -> Manifest:
        """Manifest of the graphs."""
        return self.assembly.manifest

    def run(
        self, request: Request, *, batch_size: int = 16, progress: OnStep | None = None
    ) -> Result:
        """Make the images of a request.

        Args:
            request: The samples.
            batch_size: Samples that are generated together.
            progress: Called after every step.
        """
        if request.params.best_of == 1:
            return self._make(self._loop(request), batch_size, progress, request)
        return self.keeper(request, batch_size, progress).best_of(request.params.best_of)

    def record(
        self, request: Request, *, batch_size: int = 16, progress: OnStep | None = None
    ) -> tuple[Result, Outputs]:
        """Make the images of a request, and keep what the policy puts out.

        Arguments as for `run`; the request has no candidates.
        """
        loop = self._loop(request)
        kept = RecordedLoop.of(loop, no_outputs(loop, len(request)), self.memory)
        return self._make(kept, batch_size, progress, request), kept.outputs

    def play(
        self,
        request: Request,
        outputs: Outputs,
        *,
        batch_size: int = 16,
        progress: OnStep | None = None,
    ) -> Result:
        """Make the images of a request with numbers in the place of what the policy puts out.

        Args:
            request: The samples; it has no candidates.
            outputs: The numbers, as `record` gives them.
            batch_size: Samples that are generated together.
            progress: Called after every step.
        """
        loop = PlayedLoop.of(self._loop(request), outputs, self.memory)
        return self._make(loop, batch_size, progress, request)

    def stream(self, request: Request) -> Iterator[Step]:
        """Make one batch and yield after every step; with best-of, only the first candidates."""
        return self._steps(self._loop(request), request, np.arange(len(request)), [])

    def keeper(
        self, request: Request, batch_size: int = 16, progress: OnStep | None = None
    ) -> Keeper:
        """Make candidates of the samples one after the other; arguments as for `run`."""
        loop = self._loop(request)

        def score(result: Result) -> Rewards:
            with loop.timings.measure("reward"):
                return self.score_rows(result.images, result.rows, batch_size)

        return Keeper(request, partial(self._make, loop, batch_size, progress), score)

    def loop(self, params: SamplingParams, fidelity: npt.NDArray[np.float32] | None = None) -> Loop:
        """Make a loop, for callers that manage slots themselves.

        Args:
            params: Sampling parameters, complete and checked.
            fidelity: Shares of the fidelity policy by a sample's place (N,), which the caller may
                change between steps; None where no sample follows it.
        """
        return self.assembly.loop(params, None if fidelity is None else self.memory.put(fidelity))

    def decode(self, loop: Loop, snapshot: Snapshot) -> Images:
        """Decode slots, finished or not: (B, height, width, channels) uint8."""
        with loop.timings.measure("decoder"):
            image = self.assembly.sessions["decoder"].run(snapshot.latents)["image"]
            low, high = self.manifest.image.pixel_range
            return self.memory.get(to_pixels(image, low, high))

    def score_rows(self, images: Images, rows: Arrays, batch_size: int = 16) -> Rewards:
        """Score images (B, height, width, channels) by the reward model: rewards (B,)."""
        run, memory = self.assembly.sessions["reward"].run, self.memory

        def host_run(inputs: Arrays) -> Arrays:
            outputs = run({name: memory.put(values) for name, values in inputs.items()})
            return {name: memory.get(values) for name, values in outputs.items()}

        asked = {name: rows[name] for name in self.manifest.condition.tensors}
        return score_images(host_run, images, asked, batch_size)

    def _loop(self, request: Request) -> Loop:
        return self.loop(request.params, request.fidelity if request.params.blended else None)

    def _make(
        self, loop: Loop, batch_size: int, progress: OnStep | None, request: Request
    ) -> Result:
        """Make one image of every sample."""
        trace = Trace(request, loop.schedule.spec.names, loop.schedule.calls)
        image = self.manifest.at(request.params.extent).image
        images, failures = blank_images(len(request), image), dict[int, int]()
        reused = np.zeros(len(request), np.int64)
        for first in range(0, len(request), batch_size):
            index = np.arange(first, min(first + batch_size, len(request)))
            done: list[Snapshot] = []
            for step in self._steps(loop, request, index, done):
                for decision in step.decisions:
                    trace.record(decision)
                if progress is not None:
                    progress(step)
            finished = Snapshot.join(done)
            failures |= finished.failures()
            images[finished.index] = self.decode(loop, finished)
            reused[finished.index] = finished.reused
        images[list(failures)] = 0
        seeds, schedule = request.seeds, trace.schedule
        condition, rows = self.manifest.condition, request.rows
        made = count_evaluations(schedule, request.steps) - reused
        return Result(condition, images, rows, seeds, schedule, made, failures, loop.timings)

    def _steps(
        self, loop: Loop, request: Request, index: npt.NDArray[np.int64], done: list[Snapshot]
    ) -> Iterator[Step]:
        """Run one batch to its end; slots that end move to ``done``."""
        batch, put = request.take(index), self.memory.put
        given = self.manifest.condition.inputs(batch.rows)
        rows = {name: put(values) for name, values in given.items()}
        for stepped in drive(loop, put(index), rows, put(batch.seeds)):
            if len(stepped.ended):
                done.append(Snapshot.of(stepped.ended, loop.rule, self.memory))
            yield self._step(loop, request.steps, stepped, tuple(done))

    def _step(self, loop: Loop, steps: int, stepped: Stepped, done: tuple[Snapshot, ...]) -> Step:
        saved = steps * len(stepped.ended) - int(self.memory.get(stepped.ended.step).sum())
        return Step(
            number=stepped.number,
            steps=steps,
            decisions=tuple(self._fetch(decision) for decision in stepped.decisions),
            running=self.memory.get(stepped.running.index),
            advanced=len(stepped.ended) + len(stepped.running) + saved,
            seconds=dict(loop.timings.seconds),
            preview=partial(self._preview, loop, done, stepped.running),
        )

    def _fetch(self, decision: Decision) -> Decision:
        get = self.memory.get
        actions = {name: get(values) for name, values in decision.actions.items()}
        return Decision(get(decision.index), get(decision.call), actions)

    def _preview(self, loop: Loop, done: tuple[Snapshot, ...], state: State) -> Images:
        running = [Snapshot.of(state, loop.rule, self.memory)] if len(state) else []
        everyone: Any = Snapshot.join([*done, *running])
        return self.decode(loop, everyone)[np.argsort(everyone.index)]
