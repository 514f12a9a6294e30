"""Jobs of an engine that serves: images, progress, statistics, and observers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from adagen_rt.sampling.result import count_evaluations
from adagen_rt.serving.batching.work import Work

#: Outcomes of a job.
Outcome = Literal["ok", "failed", "cancelled", "deadline", "error"]
Chosen = dict[str, npt.NDArray[np.float32]]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Image:
    """One image, its schedule and its cost.

    Attributes:
        pixels: (height, width, channels) uint8.
        condition: Its condition, such as ``{"label": 3}``.
        seed: The seed that reproduces it; with best-of, the seed of the kept candidate.
        schedule: Chosen actions by name: (calls,) float32, NaN for steps that it did not need.
        steps: Backbone evaluations of a full generation; see `evaluations`.
        queued_seconds: Seconds from the request to its first step.
        seconds: Seconds from the request to its end.
        backbone_rows: Backbone rows that were evaluated for it.
        cached: Whether it was made before and kept.
        reused: Evaluations that were left out; see `SamplingParams.reuse`.
    """

    pixels: Pixels
    condition: Mapping[str, Any]
    seed: int
    schedule: Chosen
    steps: int
    queued_seconds: float
    seconds: float
    backbone_rows: int
    cached: bool = False
    reused: int = 0

    @property
    def evaluations(self) -> int:
        """Backbone evaluations that it needed; with best-of, the kept candidate."""
        return int(count_evaluations(self.schedule, self.steps)) - self.reused

    @property
    def label(self) -> int:
        """Class of the image, where the engine takes classes."""
        label: int = self.condition["label"]
        return label

    @property
    def prompt(self) -> str:
        """Prompt of the image, where the engine takes prompts."""
        prompt: str = self.condition["prompt"]
        return prompt


@dataclass(frozen=True)
class Progress:
    """An image under way.

    Attributes:
        step: Steps done so far, 1 for the first.
        steps: Steps of a full generation.
        schedule: Actions chosen so far, by name: (calls so far,) float32.
        preview: The best guess at the image (height, width, channels) uint8.
    """

    step: int
    steps: int
    schedule: Chosen
    preview: Pixels


@dataclass(frozen=True)
class Stats:
    """An engine at one moment.

    Attributes:
        running: Slots in use.
        queued: Jobs that wait for their first slot.
        slots: Number of slots.
        finished: Jobs that have ended, by outcome.
        wait_seconds: Seconds that all that waits or is under way takes, at the pace of the last
            steps, here and in other processes that serve the same; 0 before the first one.
        cache_bytes: Bytes of the images that are kept.
        work: What there is to do.
    """

    running: int
    queued: int
    slots: int
    finished: Mapping[Outcome, int]
    wait_seconds: float = 0.0
    cache_bytes: int = 0
    work: Work = Work()


@dataclass(eq=False)
class Job:
    """A requested image.

    Attributes:
        condition: Its condition, such as ``{"label": 3}``.
        seed: Its seed.
        id: Name of the job.
        evaluations: Backbone evaluations that its image needed, once it is made.
        future: Its `Image`, or the error that prevented it: ``SampleError``, ``DeadlineError``,
            or an error of the engine. For asyncio, wrap it.
    """

    condition: Mapping[str, Any]
    seed: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    evaluations: int = 0
    future: Future[Image] = field(default_factory=Future, repr=False)

    @property
    def label(self) -> int:
        """Class of the image, where the engine takes classes."""
        label: int = self.condition["label"]
        return label

    @property
    def prompt(self) -> str:
        """Prompt of the image, where the engine takes prompts."""
        prompt: str = self.condition["prompt"]
        return prompt

    def result(self, timeout: float | None = None) -> Image:
        """Wait for the image, at most ``timeout`` seconds."""
        return self.future.result(timeout)

    def cancel(self) -> None:
        """Cancel the job; its slot is free before the next step."""
        self.future.cancel()


#: Called on the compute thread, which it must not block.
Watch = Callable[[Progress], object]


class Observer(Protocol):
    """Listens to an engine's jobs and steps; called on any thread, and must not block.

    It may also have a method ``looked_up(job, hit)``, which notes whether an image was kept from
    before; a job of one that was has no other event.
    """

    def queued(self, job: Job) -> None:
        """Note that a job waits."""

    def started(self, job: Job, queued_seconds: float) -> None:
        """Note that a job has its first slot."""

    def stepped(self, slots: int, seconds: float) -> None:
        """Note that slots that share a batch made a step."""

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """Note that a job has ended."""
