"""Shares of an engine's steps: of the samples under way, those step who would then have had fewest.

Between clients, and between the requests of each, rows of the backbone are shared equally, however
many samples each has under way. Whose next step leaves them with as few rows as the others step
with them in one batch. So one sample does not wait for the many of another (weighted fair queueing
goes by the end of a turn, not by its start).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from adagen_rt.serving.batching.order import Task


class _Used:
    """Rows that each key has had; one that comes starts with as many as the least had."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, float] = {}

    def keep(self, keys: set[Hashable]) -> None:
        """Note who is there."""
        rows = self._rows
        stay = [rows[key] for key in keys if key in rows]
        floor = min(stay, default=0.0)
        # Who went with more than the others has that against him when he comes again.
        self._rows = {k: used for k, used in rows.items() if k in keys or (stay and used > floor)}
        for key in keys:
            self._rows.setdefault(key, floor)

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
        self._requests = {name: self._requests.get(name, _Used()) for name in clients}
        everything = {
            name: [task for group in requests.values() for task in group]
            for name, requests in clients.items()
        }
        return {
            task
            for name in self._next(self._clients, everything)
            for key in self._next(self._requests[name], clients[name])
            for task in clients[name][key]
        }

    def _next(self, used: _Used, tasks: Mapping[Hashable, Sequence[Task]]) -> list[Hashable]:
        """Choose the keys that would have had fewest rows after their next step."""
        used.keep(set(tasks))
        ends = {key: used.of(key) + self._rows(group) for key, group in tasks.items()}
        latest = min(ends.values(), default=0.0) + self._slack
        return [key for key, end in ends.items() if end <= latest]

    def _rows(self, tasks: Sequence[Task]) -> float:
        """Count the rows of the next step of some samples, as they are charged.

        No step has more rows than there are slots, which are charged by the share.
        """
        most = max(self._slots / task.order.caller.share for task in tasks)
        return min(sum(_charged(task) for task in tasks), most)

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
            order, rows = task.order, _charged(task)
            self._clients.charge(order.caller.client, rows)
            self._requests[order.caller.client].charge(order.request_key, rows)


def _charged(task: Task) -> float:
    """Rows that a step of a sample costs its client, who may have a larger share."""
    return task.order.step_cost / task.order.caller.share
