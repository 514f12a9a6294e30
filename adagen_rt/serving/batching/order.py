"""A job as the scheduler sees it: candidates that each need a slot, of which one is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np

from adagen_rt.errors import DeadlineError
from adagen_rt.sampling.best_of import Best, candidate_seeds
from adagen_rt.sampling.loop import Decision
from adagen_rt.sampling.params import SamplingParams, ScheduleName
from adagen_rt.sampling.request import Request
from adagen_rt.serving.batching.caller import Caller
from adagen_rt.serving.batching.job import Chosen, Image, Job, Pixels, Watch


@dataclass(frozen=True)
class Key:
    """Parameters that slots of one loop have in common."""

    steps: int
    schedule: ScheduleName | None
    refine: int
    blended: bool
    reuse: float
    size: str | tuple[int, int] | None

    @property
    def params(self) -> SamplingParams:
        """Sampling parameters of the loop."""
        return SamplingParams(
            self.steps, self.schedule, refine=self.refine, reuse=self.reuse, size=self.size
        )


@dataclass(eq=False)
class Order:
    """A job with its candidates and their progress.

    Attributes:
        job: The job.
        request: Its one sample, checked.
        caller: Who asks.
        timeout: Seconds until it is given up; None for never.
        watch: Called with the first candidate's progress.
        watch_every: Steps between two calls of ``watch``.
        begin: Time of the request, in seconds of the monotonic clock.
        first_step: Time at which its first candidate got a slot.
        best: Record of the best candidate so far.
        kept: The best candidate and its image.
        started: Number of candidates that have had a slot.
        ended: Number of candidates that are done.
        failure: Step at which the first candidate failed.
        rows: Backbone rows so far.
    """

    job: Job
    request: Request
    caller: Caller = field(default_factory=Caller)
    timeout: float | None = None
    watch: Watch | None = None
    watch_every: int = 1
    begin: float = field(default_factory=time.monotonic)
    first_step: float = 0.0
    best: Best = field(default_factory=lambda: Best(1))
    kept: tuple[Task, Pixels] | None = None
    started: int = 0
    ended: int = 0
    failure: int = 0
    rows: float = 0.0

    @property
    def key(self) -> Key:
        """Key of the loops that it can run in."""
        params = self.request.params
        common = (params.schedule, params.refine, params.blended, params.reuse, params.size)
        return Key(self.request.steps, *common)

    @property
    def candidates(self) -> int:
        """Number of images that are made, of which one is kept."""
        return self.request.params.best_of

    @property
    def weight(self) -> int:
        """Slots per candidate: refinement tries several actions for each."""
        return self.request.params.refine

    @property
    def step_cost(self) -> int:
        """Backbone rows of a candidate's step, where conditional and null row count as one.

        A row of an image larger than the engine's own counts as often as it holds that.
        """
        return self.weight * self.request.area

    @property
    def candidate_cost(self) -> int:
        """Backbone rows of one candidate."""
        return self.step_cost * self.request.steps

    @property
    def cost(self) -> int:
        """Backbone rows of all candidates."""
        return self.candidates * self.candidate_cost

    @property
    def left(self) -> int:
        """Backbone rows of the candidates that have not had a slot."""
        return (self.candidates - self.started) * self.candidate_cost

    @property
    def request_key(self) -> Hashable:
        """What it has in common with the other orders of its request."""
        return self.job.id if self.caller.request is None else self.caller.request

    @property
    def over(self) -> bool:
        """Whether the job has ended or was cancelled."""
        return self.job.future.done()

    @property
    def deadline(self) -> float:
        """Time at which it is given up, in seconds of the monotonic clock."""
        return math.inf if self.timeout is None else self.begin + self.timeout

    @property
    def late(self) -> bool:
        """Whether the timeout has passed."""
        return time.monotonic() > self.deadline

    @property
    def lateness(self) -> DeadlineError:
        """Error for the owner of a late order."""
        assert self.timeout is not None
        return DeadlineError(self.timeout)

    def next_task(self, slot: int) -> Task:
        """Start the next candidate in a slot."""
        if self.started == 0:
            self.first_step = time.monotonic()
        seed = candidate_seeds(self.request.seeds, self.started)
        task = Task(self, self.started, int(seed[0]), slot)
        self.started += 1
        return task

    def keep(self, task: Task, pixels: Pixels, reward: float) -> None:
        """Compare a candidate that is done with the best so far."""
        if self.best.offer(task.number, np.array([reward], np.float32))[0]:
            self.kept = task, pixels

    def image(self) -> Image:
        """Make the job's image from the kept candidate."""
        assert self.kept is not None  # only called when a candidate did not fail
        task, pixels = self.kept
        return Image(
            pixels,
            self.job.condition,
            task.seed,
            task.schedule,
            self.request.steps,
            queued_seconds=self.first_step - self.begin,
            seconds=time.monotonic() - self.begin,
            backbone_rows=round(self.rows),
            reused=task.reused,
        )


@dataclass(eq=False)
class Task:
    """One candidate in a slot.

    Attributes:
        order: The order that it belongs to.
        number: Number of the candidate; 0 has the sample's own seed.
        seed: Its seed.
        slot: Its slot.
        step: Backbone evaluations so far.
        calls: Policy calls so far.
        reused: Evaluations that were left out, once its image is made.
        schedule: Chosen actions by name: (calls,) float32, NaN for calls not yet made.
    """

    order: Order
    number: int
    seed: int
    slot: int
    step: int = 0
    calls: int = 0
    reused: int = 0
    schedule: Chosen = field(default_factory=dict)

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
        """Whether its progress has to be shown now."""
        order = self.order
        return order.watch is not None and self.number == 0 and self.step % order.watch_every == 0
