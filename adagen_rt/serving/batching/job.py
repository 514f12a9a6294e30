"""What a caller hands to an engine that serves, and what comes back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

#: How a job can end.
Outcome = Literal["ok", "failed", "cancelled", "deadline", "error"]
Chosen = dict[str, npt.NDArray[np.float32]]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Image:
    """One image and how it was made.

    Attributes:
        pixels: (height, width, channels) uint8.
        condition: What it was conditioned on, such as ``{"label": 3}``.
        seed: The seed that makes it again; with best-of, that of the candidate that was kept.
        schedule: What was chosen, by action name: (calls,) float32, NaN for steps that it did
            not need.
        steps: Backbone evaluations of a full generation.
        queued_seconds: From when it was asked for to its first step.
        seconds: From when it was asked for to its end.
        backbone_rows: Rows that were evaluated for it.
    """

    pixels: Pixels
    condition: Mapping[str, Any]
    seed: int
    schedule: Chosen
    steps: int
    queued_seconds: float
    seconds: float
    backbone_rows: int

    @property
    def label(self) -> int:
        """Its class, of an engine that is asked for classes."""
        label: int = self.condition["label"]
        return label


@dataclass(frozen=True)
class Progress:
    """An image under way.

    Attributes:
        step: Steps done so far, 1 for the first.
        steps: Steps of a full generation.
        schedule: What was chosen so far, by action name: (calls so far,) float32.
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
        slots: Slots that there are.
        finished: Jobs that have ended, by outcome.
    """

    running: int
    queued: int
    slots: int
    finished: Mapping[Outcome, int]


@dataclass(eq=False)
class Job:
    """An image that was asked for.

    Attributes:
        condition: What it is conditioned on, such as ``{"label": 3}``.
        seed: Its seed.
        id: A name for it.
        future: Its `Image`, or what kept it from being made: ``SampleError``,
            ``DeadlineError``, or an error of the engine. For asyncio, wrap it.
    """

    condition: Mapping[str, Any]
    seed: int
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    future: Future[Image] = field(default_factory=Future, repr=False)

    @property
    def label(self) -> int:
        """Its class, of an engine that is asked for classes."""
        label: int = self.condition["label"]
        return label

    def result(self, timeout: float | None = None) -> Image:
        """Wait for the image, at most ``timeout`` seconds."""
        return self.future.result(timeout)

    def cancel(self) -> None:
        """Give it up; its slot is free before the next step."""
        self.future.cancel()


#: Called on the compute thread, which it must not hold up.
Watch = Callable[[Progress], object]


class Observer(Protocol):
    """Is told what an engine does; called on any thread, and must not block."""

    def queued(self, job: Job) -> None:
        """A job waits."""

    def started(self, job: Job, queued_seconds: float) -> None:
        """A job has its first slot."""

    def stepped(self, slots: int, seconds: float) -> None:
        """Slots that share a batch made a step."""

    def ended(self, job: Job, outcome: Outcome, seconds: float) -> None:
        """A job is over."""
