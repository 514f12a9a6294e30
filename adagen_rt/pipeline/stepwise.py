"""Generate images, watch the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

# Imported here, or the first step would pay for it.
import array_api_compat.numpy  # noqa: F401
import numpy as np
import numpy.typing as npt

from adagen_rt.backends import Backend, Graph, make_backend
from adagen_rt.engine.folder import Engine
from adagen_rt.errors import EngineError
from adagen_rt.families import make_rule
from adagen_rt.ops import Ops
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.noise import Philox
from adagen_rt.pipeline.assembly import Assembly
from adagen_rt.sampling.best_of import keep_best, score_images
from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.request import MAX_BATCH, Request, Static, as_integer, make_request
from adagen_rt.sampling.result import Images, Result, Snapshot, Step, Trace, to_pixels
from adagen_rt.sampling.rule import NoiseSource, State, StepRule

Progress = Callable[[Step], object]


class Generator:
    """An engine ready to generate.

    Calls share nothing but the graphs' buffers; for that reason, one thread at a time.

    Args:
        engine: A checked engine folder.
        backend: Who executes the graphs.
        threads: CPU threads.
        provider: Execution provider of the backend; None is its CPU.
        ops: The numeric steps; None takes the C++ kernels.
        noise: Noise of a step; tests put their own here.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        backend: str | Backend = "onnxruntime",
        threads: int = 1,
        provider: str | None = None,
        ops: Ops | None = None,
        noise: NoiseSource = Philox,
    ) -> None:
        self.engine = engine
        self.manifest = engine.manifest
        if isinstance(backend, str):
            backend = make_backend(backend, threads, provider)
        self.backend = backend.name
        self.threads = threads
        self.provider = provider
        self._ops = ops or CpuOps(threads)
        self._noise = noise
        self._families: dict[int, StepRule[Any]] = {}
        self._graphs: dict[str, Graph] = {
            name: backend.load(engine.graph_file(name)) for name in self.manifest.graphs
        }
        own = self._family(self.manifest.schedule.steps)
        _check_actions(engine, own.actions)
        self._assembly = Assembly(self.manifest, self._graphs, own.calls)

    @property
    def has_policy(self) -> bool:
        """Whether the engine chooses per sample, or only knows its static schedule."""
        return "policy" in self._graphs

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
        progress: Progress | None = None,
    ) -> Result:
        """Generate one image for each label.

        Args:
            labels: Class numbers or names.
            seeds: One integer from 0 to 2**63 - 1 for each label; None draws them.
            steps: Backbone evaluations; None takes what the policy was trained for. With
                another number, the policy sees the corresponding step of its own schedule.
            static: Run the hand-made schedule and do not ask the policy; ``"tuned"`` runs the
                best one that a search found, if the engine has it.
            fidelity: From 0, the adversarially trained policy, to 1, the one trained for
                fidelity; for all samples or one for each.
            refine: Actions that are tried at every policy call; the critic keeps one.
            best_of: Images that are made of each sample; the reward model keeps one.
            batch_size: Samples that are generated together.
            progress: Called after every step.

        Raises:
            InputError: An argument is out of its range.
            EngineError: The engine lacks a graph that an argument needs.
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
        loop = self.make_loop(request.steps, static, request.fidelity, request.refine)
        make = partial(self._make, loop, batch_size, progress)
        if request.best_of == 1:
            return make(request)
        return keep_best(request, make, partial(self._reward, loop, batch_size))

    def _make(
        self, loop: Loop, batch_size: int, progress: Progress | None, request: Request
    ) -> Result:
        """One image of every sample."""
        trace = Trace(request, loop.schedule.spec.names, loop.family.calls)
        spec = self.manifest.image
        images = np.zeros((len(request), spec.size, spec.size, spec.channels), np.uint8)
        failures: dict[int, int] = {}
        for first in range(0, len(request), batch_size):
            index = np.arange(first, min(first + batch_size, len(request)))
            done: list[Snapshot] = []
            for step in self._steps(loop, request, index, done):
                for decision in step.decisions:
                    trace.record(decision)
                if progress is not None:
                    progress(step)
            finished = Snapshot.join(done)
            failures.update(finished.failures())
            images[finished.index] = self.decode(loop, finished)
        images[list(failures)] = 0
        return Result(images, request.labels, request.seeds, trace.schedule, failures, loop.timings)

    def stream(
        self,
        labels: Sequence[int | str],
        seeds: Sequence[int] | None = None,
        *,
        steps: int | None = None,
        static: Static = False,
        fidelity: float | Sequence[float] = 0.0,
        refine: int = 1,
    ) -> Iterator[Step]:
        """Generate one batch and yield after every step; arguments as for ``generate``.

        There is no best-of: which image is kept is known when all are done.
        """
        request = make_request(
            self.manifest, labels, seeds, steps, static=static, fidelity=fidelity, refine=refine
        )
        loop = self.make_loop(request.steps, static, request.fidelity, request.refine)
        return self._steps(loop, request, np.arange(len(request)), [])

    def _steps(
        self, loop: Loop, request: Request, index: npt.NDArray[np.int64], done: list[Snapshot]
    ) -> Iterator[Step]:
        """Run one batch to its end; slots that end move to ``done`` and cost nothing more."""
        state, decisions = loop.start(index, request.labels[index], request.seeds[index])
        for number in range(1, request.steps + 1):
            state, decision = loop.step(state)
            ended, state = loop.split(state)
            if len(ended):
                done.append(Snapshot.of(ended, loop.family))
            yield Step(
                number=number,
                steps=request.steps,
                decisions=(*decisions, decision),
                running=state.index,
                advanced=len(decision.index) + int(np.sum(request.steps - ended.step)),
                seconds=dict(loop.timings.seconds),
                preview=partial(self._preview, loop, tuple(done), state),
            )
            decisions = []
            if not len(state):
                return

    def _preview(self, loop: Loop, done: tuple[Snapshot, ...], state: State) -> Images:
        running = [Snapshot.of(state, loop.family)] if len(state) else []
        everyone = Snapshot.join([*done, *running])
        return self.decode(loop, everyone)[np.argsort(everyone.index)]

    def decode(self, loop: Loop, snapshot: Snapshot) -> Images:
        """Images (B, height, width, channels) uint8 of slots, finished or not."""
        with loop.timings.measure("decoder"):
            image = self._graphs["decoder"].run(snapshot.latents)["image"]
            return to_pixels(image, self.manifest.image)

    def _reward(self, loop: Loop, batch_size: int, result: Result) -> npt.NDArray[np.float32]:
        with loop.timings.measure("reward"):
            return self.score(result.images, result.labels, batch_size)

    def score(
        self, images: Images, labels: npt.NDArray[np.int64], batch_size: int = 16
    ) -> npt.NDArray[np.float32]:
        """What the engine's reward model gives images (B, height, width, channels)."""
        return score_images(self._graphs["reward"].run, images, labels, batch_size)

    def make_loop(
        self,
        steps: int,
        static: Static = False,
        fidelity: npt.NDArray[np.float32] | None = None,
        refine: int = 1,
    ) -> Loop:
        """A loop over this engine's graphs, for callers that manage slots themselves.

        Arguments as for ``generate``, checked; ``fidelity`` is by a sample's place (N,).
        """
        return self._assembly.loop(self._family(steps), static, fidelity, refine)

    def _family(self, steps: int) -> StepRule[Any]:
        if steps not in self._families:
            graphs = {name: graph.run for name, graph in self._graphs.items()}
            made = make_rule(self.manifest, steps, self._ops, self._noise, graphs)
            self._families[steps] = made
        return self._families[steps]


def _check_actions(engine: Engine, expected: tuple[str, ...]) -> None:
    names = engine.manifest.schedule.names
    if sorted(names) != sorted(expected):
        raise EngineError(
            f"{engine.path}: schedule.actions: got {', '.join(names)}, "
            f"expected {', '.join(expected)}"
        )
