"""An engine that serves: requests from any thread, one thread that computes."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from adagen_rt.errors import InputError, QueueFullError, StoppedError, as_integer
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, make_request
from adagen_rt.serving.batching.job import Image, Job, Observer, Outcome, Stats, Watch
from adagen_rt.serving.batching.order import Order, Task
from adagen_rt.serving.batching.scheduler import Scheduler

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from adagen_rt.sampling.params import SamplingOptions

MAX_QUEUE = 1_000_000
#: Weight of the last image in the average time from one image to the next.
RECENT = 0.1
_log = logging.getLogger(__name__)


class BatchEngine:
    """Makes images for many callers at once, with samples at different steps in one batch.

    A request waits in a queue, first come, first served. It enters a free slot between two steps
    and leaves it when it is finished. Its image equals the image that `Pipeline.generate` makes
    of the same label, seed and parameters, whatever else is under way. Usable from any thread.

    Args:
        engine: Path of an engine folder, a shipped engine's name, or a pipeline whose steps the
            host has to see; others who use it wait for a step, and this one for them.
        max_batch: Slots: samples that are under way at once.
        max_queue: Requests that can wait for a slot.
        threads: CPU threads; None takes all that this process may use.

    Attributes:
        name: The engine's name.
        manifest: The engine's manifest.
        max_batch: Slots.
        max_queue: Requests that can wait.
        observers: Observers of all jobs and steps.
    """

    def __init__(
        self,
        engine: str | Path | Pipeline,
        *,
        max_batch: int = 16,
        max_queue: int = 64,
        threads: int | None = None,
    ) -> None:
        self.max_batch = as_integer("max_batch", max_batch, 1, MAX_BATCH)
        self.max_queue = as_integer("max_queue", max_queue, 1, MAX_QUEUE)
        opened = load(engine, threads=threads) if isinstance(engine, (str, Path)) else engine
        sampler = opened.sampler
        self.manifest, self._turn = opened.manifest, opened.turn
        self.name = self.manifest.name
        self.observers: list[Observer] = []
        self._changed = threading.Condition()
        self._waiting: deque[Order] = deque()
        self._orders: dict[Job, Order] = {}
        self._finished: Counter[Outcome] = Counter()
        self._pace, self._last_end = 0.0, 0.0
        self._stopping = False
        self._scheduler = Scheduler(sampler, self.max_batch, self._end)
        _warm_up(opened, self.max_batch)
        self._thread = threading.Thread(target=self._work, name=f"adagen-{self.name}", daemon=True)
        self._thread.start()

    def submit(
        self,
        label: int | str,
        seed: int | None = None,
        params: SamplingParams | None = None,
        *,
        timeout: float | None = None,
        watch: Watch | None = None,
        watch_every: int = 1,
        **options: Unpack[SamplingOptions],
    ) -> Job:
        """Request an image, and return at once.

        Args:
            label: Class number or name.
            seed: From 0 to 2**63 - 1; None draws one.
            params: Sampling parameters; each action that refinement tries takes a slot.
            timeout: Seconds after which the image is given up, waiting or under way.
            watch: Called on the compute thread with the first candidate's progress.
            watch_every: Steps between two calls of ``watch``; the last step is always shown.
            **options: Fields of `SamplingParams`, which win over those of ``params``.

        Raises:
            InputError: An argument is out of its range.
            EngineError: The engine lacks a graph that an argument needs.
            QueueFullError: The queue is full.
            StoppedError: The engine is closed.
            ForkedError: This process was forked off the one that has the engine's thread.
        """
        self._turn.check()
        seeds = None if seed is None else [seed]
        request = make_request(self.manifest, [label], seeds, params, options)
        refine = request.params.refine
        if refine > self.max_batch:
            raise InputError("refine", refine, f"at most {self.max_batch}, the slots there are")
        if timeout is not None and not timeout > 0:
            raise InputError("timeout", timeout, "seconds above 0")
        as_integer("watch_every", watch_every, 1, 1 << 31)
        asked = self.manifest.condition.describe(request.rows, 0)
        job = Job(asked, int(request.seeds[0]))
        order = Order(job, request, timeout, watch, watch_every)
        with self._changed:
            if self._stopping:
                raise StoppedError(f"{self.name} takes no more requests")
            free = self.max_batch - self._scheduler.running
            if len(self._waiting) >= self.max_queue + free:
                raise QueueFullError(self.max_queue, max(self._pace, 0.1))
            self._waiting.append(order)
            self._orders[job] = order
            self._changed.notify()
        self._tell("queued", job)
        job.future.add_done_callback(partial(self._noticed, order))
        return job

    @property
    def alive(self) -> bool:
        """Whether there is a thread in this process that computes."""
        return not self._turn.forked and self._thread.is_alive()

    def stats(self) -> Stats:
        """Report how things stand; a child that was forked off has no work."""
        if self._turn.forked:  # the lock may have been held when it was forked off
            return Stats(0, 0, self.max_batch, {})
        with self._changed:
            queued = sum(order.started == 0 for order in self._waiting)
            return Stats(self._scheduler.running, queued, self.max_batch, dict(self._finished))

    def close(self, drain: bool = True) -> None:
        """Take no more requests and end.

        Args:
            drain: Whether to finish waiting and running jobs; otherwise they are cancelled.
        """
        if self._turn.forked:
            return  # the thread is the parent's, and so is the work
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if not drain:
            for job in list(self._orders):
                job.cancel()
        self._thread.join()

    def __enter__(self) -> BatchEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(drain=error is None)

    def _work(self) -> None:
        """Fill slots and make a step, again and again; the compute thread runs this."""
        while True:
            with self._changed:
                self._changed.wait_for(self._something_to_do)
                if not (self._waiting or self._scheduler.running):
                    return
                late, tasks = self._take_waiting()
            for order in late:
                self._end(order, "deadline", order.lateness)
            for task in tasks:
                if task.number == 0:
                    waited = task.order.first_step - task.order.begin
                    self._tell("started", task.order.job, waited)
            with self._turn:
                self._scheduler.admit(tasks)
                slots, seconds = self._scheduler.step()
            if slots:
                self._tell("stepped", slots, seconds)

    def _something_to_do(self) -> bool:
        return bool(self._stopping or self._waiting or self._scheduler.running)

    def _take_waiting(self) -> tuple[list[Order], list[Task]]:
        """Take overdue orders out of the queue, and candidates that get slots now."""
        # Read once: a deadline may pass between two reads of the clock.
        late = [order for order in self._waiting if order.late]
        gone = set(late)
        self._waiting = deque(o for o in self._waiting if not (o in gone or o.over))
        tasks = []
        while self._waiting and self._scheduler.has_room(self._waiting[0]):
            order = self._waiting[0]
            tasks.append(self._scheduler.next_task(order))
            if order.started == order.candidates:
                self._waiting.popleft()
        return late, tasks

    def _noticed(self, order: Order, future: Future[Image]) -> None:
        """Free the places of an order whose owner cancelled the future."""
        if future.cancelled():
            self._count(order, "cancelled")

    def _end(self, order: Order, outcome: Outcome, value: Image | BaseException | None) -> None:
        """End an order: count its outcome and set its future."""
        if not self._count(order, outcome):
            return
        future = order.job.future
        # The owner may cancel it at the same moment.
        with suppress(InvalidStateError):
            if isinstance(value, BaseException):
                future.set_exception(value)
            elif value is not None:
                future.set_result(value)

    def _count(self, order: Order, outcome: Outcome) -> bool:
        """Count an order's outcome once; tell whether this call did."""
        now = time.monotonic()
        with self._changed:
            if self._orders.pop(order.job, None) is None:
                return False
            if order in self._waiting:
                self._waiting.remove(order)
            self._finished[outcome] += 1
            if outcome == "ok":
                since = now - max(self._last_end, order.first_step)
                self._pace += RECENT * (since - self._pace) if self._pace else since
                self._last_end = now
            self._changed.notify()
        self._tell("ended", order.job, outcome, now - order.begin)
        return True

    def _tell(self, event: str, *facts: Any) -> None:
        for observer in self.observers:
            try:
                getattr(observer, event)(*facts)
            except Exception:
                # An observer's error must not stop the engine.
                _log.exception("an observer failed at %s", event)


def _warm_up(pipeline: Pipeline, batch: int) -> None:
    """Let every graph allocate the memory that the largest batch needs.

    One step and a preview are enough where all steps have the same size; VAR's steps grow.
    """
    samples = pipeline.manifest.condition.examples(batch)
    for step in pipeline.stream(samples, [0] * batch):
        step.preview()
        if pipeline.manifest.family.mixes_steps:
            break
    pipeline.generate(samples[:1], [0])
