"""The interface of every pipeline."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from adagen_rt.backends import Execution
from adagen_rt.condition import Asked
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError, PromptWarning, StoppedError, as_integer
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.origin import Origin, run_facts
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, Request, make_request, parse_scored
from adagen_rt.sampling.result import Images, Result, Step
from adagen_rt.sampling.turn import Turn
from adagen_rt.types import Arrays

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from adagen_rt.sampling.params import SamplingOptions
    from adagen_rt.sampling.sampler import Sampler

OnStep = Callable[[Step], object]


class Pipeline(ABC):
    """An engine ready to generate.

    Usable from any thread: a call waits until those of other threads are done, and a stream lets
    others in between its steps. As a context manager it is closed at the end. A child process that
    was forked off has to load its own.

    Args:
        engine: A checked engine folder.
        execution: Who runs the graphs.
        capabilities: Abilities of the implementation.

    Attributes:
        engine: The engine folder.
        manifest: The engine's manifest.
        execution: Who runs the graphs.
        capabilities: Abilities of the implementation.
        turn: Held by whoever uses the graphs.
    """

    def __init__(
        self,
        engine: EngineFolder,
        execution: Execution,
        capabilities: Capabilities,
    ) -> None:
        self.engine = engine
        self.manifest: Manifest = engine.manifest
        self.execution = execution
        self.capabilities = capabilities
        self.turn = Turn(self.manifest.name)
        self._closed = False

    @property
    def backend(self) -> str:
        """Name of the backend that runs the graphs."""
        return self.execution.backend

    @property
    def has_policy(self) -> bool:
        """Whether the engine has a policy, besides its static schedules."""
        return self.manifest.adaptive

    def generate(
        self,
        labels: Sequence[int | str] | None = None,
        seeds: Sequence[int] | None = None,
        params: SamplingParams | None = None,
        *,
        prompts: Sequence[str] | None = None,
        negative_prompts: str | Sequence[str] | None = None,
        strict: bool = False,
        batch_size: int = 16,
        progress: OnStep | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Result:
        """Generate one image for each label, or for each prompt of an engine that takes prompts.

        A prompt of more tokens than a text encoder reads is cut, with a `PromptWarning` that
        names the part.

        Args:
            labels: Class numbers or names.
            seeds: One integer from 0 to 2**63 - 1 for each image; None draws them.
            params: Sampling parameters; None takes the engine's own.
            prompts: Texts.
            negative_prompts: What guidance leads away from: a text for all, or one for each
                prompt; None takes the engine's own, usually the empty text.
            strict: Whether a prompt that would be cut is refused.
            batch_size: Samples that are generated together, 1 to 4096.
            progress: Called after every step; where the host sees no step, after every batch.
            **options: Fields of `SamplingParams`, which win over those of ``params``.

        Raises:
            InputError: An argument is out of its range, or the backend lacks it.
            EngineError: The engine lacks a graph that an argument needs.
            DeviceError: A GPU fails, or has too little memory.
        """
        given = self.manifest.condition.given(Asked(labels, prompts, negative_prompts))
        request = make_request(self.manifest, given, seeds, params, options, strict=strict)
        self._warn(request)
        return self.run(request, batch_size=batch_size, progress=progress)

    def stream(
        self,
        labels: Sequence[int | str] | None = None,
        seeds: Sequence[int] | None = None,
        params: SamplingParams | None = None,
        *,
        prompts: Sequence[str] | None = None,
        negative_prompts: str | Sequence[str] | None = None,
        strict: bool = False,
        **options: Unpack[SamplingOptions],
    ) -> Iterator[Step]:
        """Generate one batch and yield after every step; arguments as for `generate`.

        Between two steps, and before a preview, other threads may have their turn, and so may
        other calls of this one; it gives the same images.

        Raises:
            InputError: As for `generate`; also for best-of, which keeps an image only when all
                are done, and for a backend whose steps the host does not see.
        """
        given = self.manifest.condition.given(Asked(labels, prompts, negative_prompts))
        request = make_request(self.manifest, given, seeds, params, options, strict=strict)
        self._warn(request)
        return self.stream_request(request)

    def _warn(self, request: Request) -> None:
        """Warn the caller of a method of what is not used as it was given."""
        for note in self.manifest.condition.notes(request.rows):
            warnings.warn(note, PromptWarning, stacklevel=3)

    def stream_request(self, request: Request) -> Iterator[Step]:
        """Stream a request that `make_request` has checked against this engine; as `stream`."""
        self.capabilities.check(self.backend, request.params, streams="stream")
        if request.params.best_of != 1:
            expected = "1 in a stream: which image is kept is known at the end"
            raise InputError("best_of", request.params.best_of, expected)
        return self._in_turns(self.sampler.stream(request))

    def _in_turns(self, steps: Iterator[Step]) -> Iterator[Step]:
        """The same steps, each of them and its preview as a use of the graphs by itself."""
        while True:
            with self._at_work():
                step = next(steps, None)
            if step is None:
                return
            yield self._guard(step)

    def _guard(self, step: Step) -> Step:
        """The same step; its preview may be asked for at any time and on any thread."""
        return replace(step, preview=self._at_work()(step.preview))

    def run(
        self, request: Request, *, batch_size: int = 16, progress: OnStep | None = None
    ) -> Result:
        """Make the images of a request that `make_request` has checked against this engine."""
        as_integer("batch_size", batch_size, 1, MAX_BATCH)
        if progress is not None and not callable(progress):
            raise InputError("progress", progress, "a function of a step")
        self.capabilities.check(self.backend, request.params)
        told = None if progress is None else lambda step: progress(self._guard(step))
        with self._at_work():
            result = self._run(request, batch_size, told)
        facts = run_facts(self.engine, request, self.execution.facts)
        return replace(result, made_by=Origin.of(request, facts))

    @abstractmethod
    def _run(self, request: Request, batch_size: int, progress: OnStep | None) -> Result: ...

    @property
    def sampler(self) -> Sampler:
        """Return the graphs for callers that manage slots and steps themselves, and hold the turn.

        Raises:
            InputError: The host does not see this backend's steps.
        """
        self.capabilities.check(self.backend, SamplingParams(), streams="backend")
        raise NotImplementedError

    def score(
        self,
        images: Images,
        labels: Sequence[int | str] | None = None,
        batch_size: int = 16,
        *,
        prompts: Sequence[str] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Score images (B, height, width, channels) by the engine's reward model: (B,) float32."""
        as_integer("batch_size", batch_size, 1, MAX_BATCH)
        given = self.manifest.condition.given(Asked(labels, prompts))
        rows = parse_scored(self.manifest, images, given)
        return self.score_rows(images, rows, batch_size)

    def score_rows(
        self, images: Images, rows: Arrays, batch_size: int = 16
    ) -> npt.NDArray[np.float32]:
        """Ask the same of images whose conditions have been parsed: named arrays (B, ...)."""
        with self._at_work():
            return self._score_rows(images, rows, batch_size)

    @abstractmethod
    def _score_rows(
        self, images: Images, rows: Arrays, batch_size: int
    ) -> npt.NDArray[np.float32]: ...

    def facts(self) -> dict[str, Any]:
        """Describe the backend and its limits for reports."""
        return {"backend": self.backend}

    def close(self) -> None:
        """Give memory back; nothing is generated after it. Waits for calls under way."""
        if self.turn.forked:
            return  # the parent's memory, which it may still use
        with self.turn:
            if not self._closed:
                self._closed = True
                self._close()

    @abstractmethod
    def _close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.facts().items())
        closed = ", closed" if self._closed else ""
        return f"<{type(self).__name__} {self.manifest.name}: {facts}{closed}>"

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Have the graphs to oneself."""
        with self.turn:
            if self._closed:
                raise StoppedError(f"{self.manifest.name}: the pipeline is closed; load it again")
            yield
