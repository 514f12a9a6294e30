"""Orders that wait for a slot: clients take turns by cost, and so do the requests of each."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

from adagen_rt.serving.batching.order import Order
from adagen_rt.serving.batching.turns import Turns


@dataclass
class _Client:
    """Requests of one client, and the orders of each, first come, first served."""

    turns: Turns[Hashable] = field(default_factory=Turns)
    orders: dict[Hashable, dict[Order, None]] = field(default_factory=dict)


class FairQueue:
    """Orders that wait; whoever has had least of the engine is next.

    An order takes a turn for each of its candidates, so that one with many does not hold up the
    others.

    Attributes:
        cost: Backbone rows of all that waits.
    """

    def __init__(self) -> None:
        self.cost = 0
        self._clients: dict[Hashable, _Client] = {}
        self._turns: Turns[Hashable] = Turns()
        self._waiting: set[Order] = set()
        # Not later than the first deadline.
        self._alarm = math.inf

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def untouched(self) -> int:
        """Orders of which no candidate has had a slot."""
        return sum(order.started == 0 for order in self._waiting)

    def add(self, order: Order) -> None:
        """Let an order wait."""
        self._waiting.add(order)
        self.cost += order.left
        self._alarm = min(self._alarm, order.deadline)
        name, request = order.caller.client, order.request_key
        if name not in self._clients:
            self._clients[name] = _Client()
            self._turns.add(name)
        client = self._clients[name]
        if request not in client.orders:
            client.orders[request] = {}
            client.turns.add(request)
        client.orders[request][order] = None

    def discard(self, order: Order) -> None:
        """Let an order go, if it waits."""
        if order in self._waiting:
            self.cost -= order.left
            self._remove(order)

    def _remove(self, order: Order, charged: float = 0.0) -> None:
        """Take an order out, and charge it for its last turn."""
        self._waiting.remove(order)
        name, request = order.caller.client, order.request_key
        client = self._clients[name]
        del client.orders[request][order]
        if client.orders[request]:
            client.turns.charge(request, charged)
        else:
            del client.orders[request]
            client.turns.remove(request, charged)
        if client.orders:
            self._turns.charge(name, charged)
        else:
            del self._clients[name]
            self._turns.remove(name, charged)

    def take_late(self) -> list[Order]:
        """Take out the orders whose time is over."""
        now = time.monotonic()
        if now < self._alarm:
            return []
        late = [order for order in self._waiting if order.deadline <= now]
        for order in late:
            self.discard(order)
        self._alarm = min((order.deadline for order in self._waiting), default=math.inf)
        return late

    def first(self) -> Order | None:
        """Return the order whose turn it is."""
        return self._head(self._turns.first) if len(self._turns) else None

    def heads(self, admitted: Callable[[Hashable], bool]) -> Iterator[Order]:
        """Yield the next order of every request of a client for as long as it is admitted.

        An order may be started before the next one is asked for.
        """
        for name in self._turns:
            client = self._clients[name]
            for request in client.turns:
                if not admitted(name):
                    break
                yield next(iter(client.orders[request]))

    def start(self, order: Order) -> None:
        """Charge an order for a candidate that is about to start; the last one takes it out."""
        cost = order.candidate_cost
        charged = cost / order.caller.share
        self.cost -= cost
        if order.left == cost:
            self._remove(order, charged)
        else:
            self._clients[order.caller.client].turns.charge(order.request_key, charged)
            self._turns.charge(order.caller.client, charged)

    def _head(self, name: Hashable) -> Order:
        client = self._clients[name]
        return next(iter(client.orders[client.turns.first]))
