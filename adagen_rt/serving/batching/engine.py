"""An engine that serves: requests from any thread, one thread that computes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from adagen_rt.condition import Asked
from adagen_rt.errors import InputError, QueueFullError, StoppedError, as_integer
from adagen_rt.extent import MAX_SIDE
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, make_request
from adagen_rt.serving.batching.cache import ResultCache, key_of
from adagen_rt.serving.batching.caller import Caller
from adagen_rt.serving.batching.job import Image, Job, Stats, Watch
from adagen_rt.serving.batching.last import end_with_program
from adagen_rt.serving.batching.ledger import Ledger
from adagen_rt.serving.batching.observers import Observers
from adagen_rt.serving.batching.order import Order
from adagen_rt.serving.batching.scheduler import Scheduler
from adagen_rt.serving.batching.warm_up import warm_up
from adagen_rt.serving.batching.whole import maker_of
from adagen_rt.serving.batching.work import Work, seconds_of
from adagen_rt.serving.batching.worker import Worker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from adagen_rt.sampling.params import SamplingOptions

MAX_QUEUE = 1_000_000
MAX_COST = 1 << 40
MAX_CACHE_MB = 1 << 20
#: Seconds that a thread has to end its step when the process ends.
LAST_SECONDS = 30.0
#: Least seconds after which who was refused is told to ask again.
SOON = 0.1


class BatchEngine:
    """Makes images for many callers at once, with samples at different steps in one batch.

    A request waits in a queue, in which clients take turns by the cost of what they ask for. It
    enters a free slot between two steps and leaves it when it is finished. Its image equals the
    image that `Pipeline.generate` makes of the same label, seed and parameters, whatever else is
    under way. Usable from any thread.

    Args:
        engine: Path of an engine folder, a shipped engine's name, or a pipeline; others who use it
            wait for a step, and this one for them. Where the host sees no steps, a sample that
            arrives waits for the images under way.
        max_batch: Slots: samples that are under way at once, at most the backend's largest batch.
        max_queue: Requests that can wait for a slot.
        max_queue_cost: Backbone rows of the requests that can wait: candidates, times actions that
            refinement tries, times steps. One alone may always wait.
        max_side: Longest side of images that are asked for in another size than the engine's own.
        threads: CPU threads; None takes all that this process may use.
        cache_mb: Megabytes of images that are kept for who asks for the same again; 0 keeps none.

    Attributes:
        name: The engine's name.
        manifest: The engine's manifest, with the sizes that it serves.
        max_batch: Slots.
        max_queue: Requests that can wait.
        max_queue_cost: Backbone rows of these.
        cache: Images that are kept.
        observers: Observers of all jobs and steps.
        elsewhere: Work of the engines of other processes that serve the same, as it was lately.
    """

    def __init__(
        self,
        engine: str | Path | Pipeline,
        *,
        max_batch: int = 16,
        max_queue: int = 64,
        max_queue_cost: int = MAX_COST,
        max_side: int = MAX_SIDE,
        threads: int | None = None,
        cache_mb: int = 0,
    ) -> None:
        self.max_batch = as_integer("max_batch", max_batch, 1, MAX_BATCH)
        self.max_queue = as_integer("max_queue", max_queue, 1, MAX_QUEUE)
        self.max_queue_cost = as_integer("max_queue_cost", max_queue_cost, 1, MAX_COST)
        side = as_integer("max_side", max_side, 1, MAX_SIDE)
        opened = load(engine, threads=threads) if isinstance(engine, (str, Path)) else engine
        self.max_batch = min([self.max_batch, *opened.capabilities.batches[-1:]])
        self.manifest, self._turn = opened.manifest.up_to(side), opened.turn
        self._check = partial(opened.capabilities.check, opened.backend)
        self.name = self.manifest.name
        self.cache = ResultCache(as_integer("cache_mb", cache_mb, 0, MAX_CACHE_MB) * 10**6)
        self._hash = opened.engine.hash
        self.observers = Observers()
        self.elsewhere: Sequence[Work] = ()
        self._ledger = Ledger(self.observers)
        self._scheduler = Scheduler(maker_of(opened), self.max_batch, self._ledger.end)
        self._worker = Worker(self.name, self._scheduler, self._ledger, self._turn, self.observers)
        warm_up(opened, self.max_batch)
        self._worker.thread.start()
        end_with_program(self)

    def submit(
        self,
        label: int | str | None = None,
        seed: int | None = None,
        params: SamplingParams | None = None,
        *,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        strict: bool = False,
        timeout: float | None = None,
        watch: Watch | None = None,
        watch_every: int = 1,
        caller: Caller | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Job:
        """Request an image, and return at once.

        Args:
            label: Class number or name.
            seed: From 0 to 2**63 - 1; None draws one.
            params: Sampling parameters; each action that refinement tries takes a slot.
            prompt: Text, for an engine that takes prompts.
            negative_prompt: What guidance leads away from; None takes the engine's own.
            strict: Whether a prompt that would be cut is refused.
            timeout: Seconds after which the image is given up, waiting or under way.
            watch: Called on the compute thread with the first candidate's progress.
            watch_every: Steps between two calls of ``watch``; the last step is always shown.
            caller: Who asks, among whom the engine is shared.
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
        given = self.manifest.condition.given(Asked.one(label, prompt, negative_prompt))
        request = make_request(self.manifest, given, seeds, params, options, strict=strict)
        self._check(request.params)
        refine = request.params.refine
        if refine > self.max_batch:
            raise InputError("refine", refine, f"at most {self.max_batch}, the slots there are")
        if timeout is not None and not timeout > 0:
            raise InputError("timeout", timeout, "seconds above 0")
        as_integer("watch_every", watch_every, 1, 1 << 31)
        asked = self.manifest.condition.describe(request.rows, 0)
        job = Job(asked, int(request.seeds[0]))
        if self._kept(job, request.params, watched=watch is not None):
            return job
        order = Order(job, request, caller or Caller(), timeout, watch, watch_every)
        with self._ledger.changed:
            self._admit(order)
            self._worker.wake()
            # Before the thread can take it, so that observers hear of its start after this.
            self.observers.tell("queued", job)
            self._ledger.add(order)
        job.future.add_done_callback(partial(self._noticed, order))
        return job

    def _kept(self, job: Job, params: SamplingParams, watched: bool) -> bool:
        """Give a job the image that was made before, or see that its own is kept."""
        if not self.cache:
            return False
        if not self._worker.takes:
            raise StoppedError(f"{self.name} takes no more requests")
        key = key_of(self._hash, job.condition, job.seed, params)
        return self.cache.answer(key, job, self.observers, watched)

    def _admit(self, order: Order) -> None:
        """Refuse an order for which there is no room, or no thread."""
        if not self._worker.takes:
            raise StoppedError(f"{self.name} takes no more requests")
        queue = self._ledger.queue
        free = max(0, self.max_batch - self._scheduler.running)
        if len(queue) >= self.max_queue + free:
            raise QueueFullError(self.max_queue, max(self._wait_seconds, SOON))
        if len(queue) and queue.cost + order.cost > self.max_queue_cost:
            wait = max(self._wait_seconds, SOON)
            raise QueueFullError(self.max_queue_cost, wait, "backbone rows")

    @property
    def _wait_seconds(self) -> float:
        """Estimate the seconds until all that waits or is under way is done, elsewhere too."""
        return seconds_of([self._work, *self.elsewhere])

    @property
    def _work(self) -> Work:
        return Work(self._ledger.queue.cost + self._scheduler.left, self._scheduler.pace)

    def _noticed(self, order: Order, future: Future[Image]) -> None:
        """Free the places of an order whose owner cancelled the future."""
        if future.cancelled():
            self._ledger.count(order, "cancelled")

    @property
    def alive(self) -> bool:
        """Whether there is a thread in this process that computes."""
        return not self._turn.forked and self._worker.thread.is_alive()

    @property
    def stalled(self) -> float:
        """Seconds for which there has been work, and the thread has made no step."""
        return 0.0 if self._turn.forked else self._worker.stalled

    def stats(self) -> Stats:
        """Report how things stand; a child that was forked off has no work."""
        if self._turn.forked:  # the lock may have been held when it was forked off
            return Stats(0, 0, self.max_batch, {})
        with self._ledger.changed:
            queued, running = self._ledger.queue.untouched, self._scheduler.running
            finished, wait = dict(self._ledger.finished), self._wait_seconds
            kept, work = self.cache.bytes, self._work
            return Stats(running, queued, self.max_batch, finished, wait, kept, work)

    def cancel(self) -> None:
        """Cancel all that waits or is under way."""
        self._ledger.cancel()

    def close(self, drain: bool = True) -> None:
        """Take no more requests and end.

        Args:
            drain: Whether to finish waiting and running jobs; otherwise they are cancelled.

        Called on the compute thread, by a callback, it does not wait for the end.
        """
        if self._turn.forked:
            return  # the thread is the parent's, and so is the work
        self._worker.stop()
        if not drain:
            self.cancel()
        self._worker.wait()

    def end_soon(self) -> None:
        """Drop all work and wait for the end, though not for ever; for the end of a program."""
        if self._turn.forked:
            return
        self._worker.stop()
        self.cancel()
        self._worker.wait(LAST_SECONDS)

    def __enter__(self) -> BatchEngine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(drain=error is None)
