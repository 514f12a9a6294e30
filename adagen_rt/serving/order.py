"""A job as the scheduler sees it: candidates that each need a slot, of which one is kept."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from adagen_rt.errors import DeadlineError
from adagen_rt.sampling.best_of import candidate_seeds
from adagen_rt.sampling.loop import Decision
from adagen_rt.sampling.request import Request, Static
from adagen_rt.serving.job import Image, Job, Pixels, Schedule, Watch


@dataclass(frozen=True)
class Key:
    """What slots have to share to share a loop."""

    steps: int
    static: Static
    refine: int
    blended: bool


@dataclass(eq=False)
class Order:
    """A job and what it takes.

    Attributes:
        job: Whose it is.
        request: Its one sample, checked.
        static: Whether, and which, static schedule is run.
        timeout: Seconds until it is given up; None for never.
        watch: Told about the first candidate.
        watch_every: Steps between two such calls.
        begin: When it was asked for, in seconds of the monotonic clock.
        first_step: When its first candidate got a slot.
        best: The best candidate so far and its reward.
        started: Candidates that have had a slot.
        ended: Those that are done.
        failure: Step at which the first candidate failed.
        rows: Backbone rows so far.
    """

    job: Job
    request: Request
    static: Static = False
    timeout: float | None = None
    watch: Watch | None = None
    watch_every: int = 1
    begin: float = field(default_factory=time.monotonic)
    first_step: float = 0.0
    best: tuple[float, Task, Pixels] | None = None
    started: int = 0
    ended: int = 0
    failure: int = 0
    rows: float = 0.0

    @property
    def key(self) -> Key:
        """Which loops it can run in."""
        request = self.request
        return Key(request.steps, self.static, request.refine, bool(request.fidelity.any()))

    @property
    def weight(self) -> int:
        """Slots that one candidate takes: refinement tries several actions for each."""
        return self.request.refine

    @property
    def over(self) -> bool:
        """Whether it has ended, or its owner gave it up."""
        return self.job.future.done()

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        return self.timeout is not None and time.monotonic() - self.begin > self.timeout

    @property
    def lateness(self) -> DeadlineError:
        """What the owner of a late order is told."""
        assert self.timeout is not None
        return DeadlineError(self.timeout)

    def next_task(self, slot: int) -> Task:
        """Its next candidate, in a slot."""
        if self.started == 0:
            self.first_step = time.monotonic()
        seed = candidate_seeds(self.request.seeds, self.started)
        task = Task(self, self.started, int(seed[0]), slot)
        self.started += 1
        return task

    def keep(self, task: Task, pixels: Pixels, reward: float) -> None:
        """A candidate is done; of equal ones the first is kept."""
        reward = -math.inf if math.isnan(reward) else reward
        if self.best is None or (reward, -task.number) > (self.best[0], -self.best[1].number):
            self.best = reward, task, pixels

    def image(self) -> Image:
        """What the job gives."""
        assert self.best is not None  # asked for only when a candidate did not fail
        _, task, pixels = self.best
        return Image(
            pixels,
            self.job.label,
            task.seed,
            task.schedule,
            self.request.steps,
            queued_seconds=self.first_step - self.begin,
            seconds=time.monotonic() - self.begin,
            backbone_rows=round(self.rows),
        )


@dataclass(eq=False)
class Task:
    """One candidate in a slot.

    Attributes:
        order: Whose it is.
        number: Which candidate, 0 for the one with the sample's own seed.
        seed: Its seed.
        slot: Its slot.
        step: Backbone evaluations so far.
        calls: Policy calls so far.
        schedule: What was chosen, by action name: (calls,) float32, NaN where nothing was yet.
    """

    order: Order
    number: int
    seed: int
    slot: int
    step: int = 0
    calls: int = 0
    schedule: Schedule = field(default_factory=dict)

    def record(self, decision: Decision, row: int, calls: int) -> None:
        """Note the policy call that is at ``row`` of a decision, of ``calls`` in all."""
        if not self.schedule:
            blank = np.full(calls, np.nan, np.float32)
            self.schedule = {name: blank.copy() for name in decision.actions}
        call = int(decision.call[row])
        for name, values in decision.actions.items():
            self.schedule[name][call] = values[row]
        self.calls = call + 1

    @property
    def watched(self) -> bool:
        """Whether somebody wants to see how it stands now."""
        order = self.order
        return order.watch is not None and self.number == 0 and self.step % order.watch_every == 0
