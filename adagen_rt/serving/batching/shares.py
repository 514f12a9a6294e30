"""Shares of an engine's steps: of the samples under way, those make a step who had fewest.

Between clients, and between the requests of each, rows of the backbone are shared equally, however
many samples each has under way. Who has as few as the others steps with them in one batch.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

from adagen_rt.serving.batching.order import Task


class _Used:
    """Rows that each key has had; one that comes starts with as many as the least had."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, float] = {}

    def keep(self, keys: set[Hashable]) -> float:
        """Note who is there; return what the least of them had."""
        rows = self._rows
        stay = [rows[key] for key in keys if key in rows]
        floor = min(stay, default=0.0)
        # Who went with more than the others has that against him when he comes again.
        self._rows = {k: used for k, used in rows.items() if k in keys or (stay and used > floor)}
        for key in keys:
            self._rows.setdefault(key, floor)
        return floor

    def of(self, key: Hashable) -> float:
        return self._rows[key]

    def charge(self, key: Hashable, rows: float) -> None:
        self._rows[key] += rows


class Shares:
    """Chooses whose step it is.

    Args:
        slots: Largest number of rows of one step.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # Rows that one may have had more than another and still step with him: larger batches
        # for slightly unequal shares.
        self._slack = slots // 4
        self._clients = _Used()
        self._requests: dict[Hashable, _Used] = {}

    def due(self, tasks: Iterable[Task]) -> set[Task]:
        """Choose those of all samples under way whose step it is."""
        clients: dict[Hashable, dict[Hashable, list[Task]]] = {}
        for task in tasks:
            order = task.order
            mine = clients.setdefault(order.caller.client, {})
            mine.setdefault(order.request_key, []).append(task)
        floor = self._clients.keep(set(clients))
        self._requests = {name: self._requests.get(name, _Used()) for name in clients}
        chosen: set[Task] = set()
        for name, requests in clients.items():
            used = self._requests[name]
            least = used.keep(set(requests))
            if self._clients.of(name) <= floor + self._slack:
                for key, group in requests.items():
                    if used.of(key) <= least + self._slack:
                        chosen.update(group)
        return chosen

    def fit(self, tasks: Iterable[Task]) -> list[Task]:
        """Choose samples that fit into one step, those first who had fewest rows."""
        found, load = [], 0
        for task in sorted(tasks, key=self._rank):
            if load + task.order.weight <= self._slots:
                found.append(task)
                load += task.order.weight
        return found

    def _rank(self, task: Task) -> tuple[float, float]:
        order = task.order
        client = order.caller.client
        return self._clients.of(client), self._requests[client].of(order.request_key)

    def charge(self, tasks: Sequence[Task]) -> None:
        """Note that samples made a step."""
        for task in tasks:
            order = task.order
            rows = order.weight / order.caller.share
            self._clients.charge(order.caller.client, rows)
            self._requests[order.caller.client].charge(order.request_key, rows)
