"""The thread that computes: it fills slots and makes a step, again and again."""

from __future__ import annotations

import logging
import threading
import time
from itertools import islice

from adagen_rt.errors import StoppedError
from adagen_rt.sampling.turn import Turn
from adagen_rt.serving.batching.ledger import Ledger
from adagen_rt.serving.batching.observers import Observers
from adagen_rt.serving.batching.order import Order, Task
from adagen_rt.serving.batching.scheduler import Scheduler

#: Requests that are looked at for one that has no slot.
LOOK = 256
_log = logging.getLogger(__name__)


class Worker:
    """Computes what a ledger has open, until it is told to stop and nothing is left.

    Args:
        name: Name of the engine.
        scheduler: Its slots.
        ledger: Its orders.
        turn: Held for each step.
        observers: Observers that are told of starts and steps.

    Attributes:
        thread: The thread.
        stopping: Whether no more orders are taken.
    """

    def __init__(
        self, name: str, scheduler: Scheduler, ledger: Ledger, turn: Turn, observers: Observers
    ) -> None:
        self._name = name
        self._scheduler = scheduler
        self._ledger = ledger
        self._turn = turn
        self._observers = observers
        self._moved = time.monotonic()
        self.stopping = False
        self.thread = threading.Thread(target=self._work, name=f"adagen-{name}", daemon=True)

    @property
    def takes(self) -> bool:
        """Whether orders are taken."""
        return not self.stopping and self.thread.is_alive()

    @property
    def stalled(self) -> float:
        """Seconds for which there has been work, and the thread has made no step."""
        # Read without the lock, which a thread that hangs may hold.
        return time.monotonic() - self._moved if self._ledger.open else 0.0

    def wake(self) -> None:
        """Note that work comes after a rest; the caller holds the lock."""
        if not self._ledger.open:
            self._moved = time.monotonic()

    def stop(self) -> None:
        """Take no more orders, and end when nothing is left."""
        with self._ledger.changed:
            self.stopping = True
            self._ledger.changed.notify()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the thread's end, unless a callback on the thread asks for that."""
        if threading.current_thread() is not self.thread:
            self.thread.join(seconds)

    def _work(self) -> None:
        try:
            self._compute()
        except BaseException:
            # Nobody may wait for ever.
            self.stopping = True
            _log.exception("the thread of %s has ended", self._name)
            for order in list(self._ledger.open.values()):
                ended = StoppedError(f"the thread of {self._name} has ended")
                self._ledger.end(order, "error", ended)

    def _compute(self) -> None:
        ledger, scheduler = self._ledger, self._scheduler
        while True:
            with ledger.changed:
                ledger.changed.wait_for(lambda: self.stopping or self._busy)
                self._moved = time.monotonic()
                if not self._busy:
                    return
                late, tasks = ledger.queue.take_late(), self._take_waiting()
            for order in late:
                ledger.end(order, "deadline", order.lateness)
            for task in tasks:
                if task.number == 0:
                    waited = task.order.first_step - task.order.begin
                    self._observers.tell("started", task.order.job, waited)
            with self._turn:
                scheduler.admit(tasks)
                slots, seconds = scheduler.step()
            if slots:
                self._observers.tell("stepped", slots, seconds)

    @property
    def _busy(self) -> bool:
        return bool(len(self._ledger.queue) or self._scheduler.running)

    def _take_waiting(self) -> list[Task]:
        """Take candidates that get slots now out of the queue."""
        tasks, seats, queue = [], self._scheduler.seats, self._ledger.queue
        while (order := queue.first()) is not None and seats.has_place(order):
            tasks.append(self._take(order))
        for order in islice(queue.heads(seats.admits), LOOK):
            if seats.has_extra(order):
                tasks.append(self._take(order))
        return tasks

    def _take(self, order: Order) -> Task:
        self._ledger.queue.start(order)
        return self._scheduler.next_task(order)
