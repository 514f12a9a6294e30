"""Orders that wait for a slot: clients take turns by cost, and so do the requests of each."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import count

from adagen_rt.serving.batching.order import Order
from adagen_rt.serving.batching.turns import Turns


@dataclass
class _Client:
    """Requests of one client, and the orders of each, first come, first served."""

    turns: Turns[Hashable] = field(default_factory=Turns)
    orders: dict[Hashable, deque[Order]] = field(default_factory=dict)


class FairQueue:
    """Orders that wait; whoever has had least of the engine is next.

    An order takes a turn for each of its candidates, so that one with many does not hold up the
    others. Orders that leave are forgotten when their turn comes, and no operation takes the
    longer, the more orders wait.

    Attributes:
        cost: Backbone rows of all that waits.
    """

    def __init__(self) -> None:
        self.cost = 0
        self._clients: dict[Hashable, _Client] = {}
        self._turns: Turns[Hashable] = Turns()
        self._waiting: set[Order] = set()
        self._deadlines: list[tuple[float, int, Order]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, order: Order) -> bool:
        return order in self._waiting

    @property
    def untouched(self) -> int:
        """Orders of which no candidate has had a slot."""
        return sum(order.started == 0 for order in self._waiting)

    def add(self, order: Order) -> None:
        """Let an order wait."""
        self._waiting.add(order)
        self.cost += order.left
        if order.timeout is not None:
            entry = order.begin + order.timeout, next(self._numbers), order
            heapq.heappush(self._deadlines, entry)
        name = order.caller.client
        if name not in self._clients:
            self._clients[name] = _Client()
            self._turns.add(name)
        client = self._clients[name]
        if order.request_key not in client.orders:
            client.orders[order.request_key] = deque()
            client.turns.add(order.request_key)
        client.orders[order.request_key].append(order)

    def discard(self, order: Order) -> None:
        """Let an order go that is over."""
        if order in self._waiting:
            self._waiting.remove(order)
            self.cost -= order.left

    def take_late(self) -> list[Order]:
        """Take out the orders whose time is over."""
        now, late = time.monotonic(), []
        while self._deadlines and self._deadlines[0][0] < now:
            _, _, order = heapq.heappop(self._deadlines)
            if order in self._waiting:
                self.discard(order)
                late.append(order)
        return late

    def first(self) -> Order | None:
        """Return the order whose turn it is."""
        while len(self._turns):
            client = self._clients[self._turns.first]
            while len(client.turns):
                order = self._head(client.orders[client.turns.first])
                if order is not None:
                    return order
                del client.orders[client.turns.first]
                client.turns.drop_first()
            del self._clients[self._turns.first]
            self._turns.drop_first()
        return None

    def heads(self) -> Iterator[Order]:
        """Yield the next order of every request, in the order of the clients' turns."""
        for name in self._turns:
            client = self._clients[name]
            for request in client.turns:
                order = self._head(client.orders[request])
                if order is not None:
                    yield order

    def start(self, order: Order) -> None:
        """Charge an order for a candidate that is about to start; the last one takes it out."""
        cost = order.candidate_cost
        charged = cost / order.caller.share
        self.cost -= cost
        self._clients[order.caller.client].turns.charge(order.request_key, charged)
        self._turns.charge(order.caller.client, charged)
        if order.left == cost:
            self._waiting.remove(order)

    def _head(self, orders: deque[Order]) -> Order | None:
        """Return the first order that has not left."""
        while orders and (orders[0] not in self._waiting or orders[0].over):
            self.discard(orders.popleft())
        return orders[0] if orders else None
