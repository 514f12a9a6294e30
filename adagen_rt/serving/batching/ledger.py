"""Orders that have not ended, and counts of those that have."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import InvalidStateError
from contextlib import suppress

from adagen_rt.serving.batching.job import Image, Job, Outcome
from adagen_rt.serving.batching.observers import Observers
from adagen_rt.serving.batching.order import Order
from adagen_rt.serving.batching.queue import FairQueue


class Ledger:
    """Every order from its admission to its end, which is counted once, whoever brings it about.

    Args:
        observers: Observers that are told of ends.

    Attributes:
        changed: Lock of all that callers and the compute thread share, and what they wait for.
        queue: Orders that wait.
        open: Orders that wait or are under way, by job.
        finished: How many orders have ended, by outcome.
    """

    def __init__(self, observers: Observers) -> None:
        self._observers = observers
        self.changed = threading.Condition()
        self.queue = FairQueue()
        self.open: dict[Job, Order] = {}
        self.finished: Counter[Outcome] = Counter()

    def add(self, order: Order) -> None:
        """Let an order wait; the caller holds the lock."""
        self.queue.add(order)
        self.open[order.job] = order
        self.changed.notify()

    def end(self, order: Order, outcome: Outcome, value: Image | BaseException | None) -> None:
        """End an order: count its outcome and set its future."""
        if isinstance(value, Image):
            order.job.evaluations = value.evaluations
        if not self.count(order, outcome):
            return
        future = order.job.future
        # The owner may cancel it at the same moment.
        with suppress(InvalidStateError):
            if isinstance(value, BaseException):
                future.set_exception(value)
            elif value is not None:
                future.set_result(value)

    def count(self, order: Order, outcome: Outcome) -> bool:
        """Count an order's outcome once; tell whether this call did."""
        now = time.monotonic()
        with self.changed:
            if self.open.pop(order.job, None) is None:
                return False
            self.queue.discard(order)
            self.finished[outcome] += 1
            self.changed.notify()
        self._observers.tell("ended", order.job, outcome, now - order.begin)
        return True

    def cancel(self) -> None:
        """Cancel all that waits or is under way."""
        for job in list(self.open):
            job.cancel()
