"""Seats of samples that are under way: more than a batch has places, so that nobody is shut out.

One request may fill a whole batch for as long as its images take. A few seats more are for
requests that have none; whose step it is, the shares decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from adagen_rt.serving.batching.order import Order, Task

#: Of how many places of a batch there is one seat more.
EXTRA = 4


class Seats:
    """Who is under way.

    Args:
        slots: Places of a batch.
        extra: Whether there are seats beyond these.
    """

    def __init__(self, slots: int, extra: bool) -> None:
        self._slots = slots
        self._extra = slots // EXTRA if extra else 0
        self.count = slots + self._extra
        self._free = list(range(self.count))
        self._load = 0
        self._clients: Counter[Hashable] = Counter()
        self._requests: Counter[Hashable] = Counter()

    @property
    def taken(self) -> int:
        """Seats in use."""
        return self.count - len(self._free)

    def has_place(self, order: Order) -> bool:
        """Tell whether a candidate of an order finds a seat among a batch's places."""
        return bool(self._free) and self._load + order.weight <= self._slots

    def admits(self, client: Hashable) -> bool:
        """Tell whether a seat beyond them is free for a client; half are for who has none."""
        return bool(self._free) and self._load < self._most(client)

    def has_extra(self, order: Order) -> bool:
        """Tell whether a candidate may take a seat beyond them, because its request has none."""
        client = order.caller.client
        if not self.admits(client) or (client, order.request_key) in self._requests:
            return False
        return self._load + order.weight <= self._most(client)

    def _most(self, client: Hashable) -> int:
        return self._slots + (self._extra // 2 if client in self._clients else self._extra)

    def take(self, order: Order) -> int:
        """Give a seat to a candidate of an order."""
        client = order.caller.client
        self._load += order.weight
        self._clients[client] += 1
        self._requests[client, order.request_key] += 1
        return self._free.pop()

    def release(self, task: Task) -> None:
        """Take a seat back."""
        order = task.order
        client = order.caller.client
        self._load -= order.weight
        self._free.append(task.slot)
        _lower(self._clients, client)
        _lower(self._requests, (client, order.request_key))


def _lower(counter: Counter[Hashable], key: Hashable) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
