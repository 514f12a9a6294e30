"""Step-level continuous batching on one thread: slots are filled and emptied between steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from adagen_rt.errors import DeadlineError, SampleError
from adagen_rt.generator import Generator
from adagen_rt.serving.group import End, Group
from adagen_rt.serving.job import Image, Outcome
from adagen_rt.serving.order import Order, Task

#: Told how an order ended, with its image or what kept it from being made.
Ended = Callable[[Order, Outcome, "Image | BaseException | None"], object]


class Scheduler:
    """Slots and the groups that they are in; its methods run on the compute thread.

    Samples that may share a loop share a batch, at whatever step each of them is; groups that
    may not (other options, VAR's scales) take their steps in turns.

    Args:
        generator: Whose graphs.
        slots: How many samples there can be at once.
        ended: Told when an order is over.
    """

    def __init__(self, generator: Generator, slots: int, ended: Ended) -> None:
        self._generator = generator
        self._ended = ended
        self._slots = slots
        self._free = list(range(slots))
        self._load = 0
        self._groups: deque[Group] = deque()
        # Appended to by any thread, emptied by the compute thread.
        self._abandoned: deque[Order] = deque()

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._slots - len(self._free)

    def has_room(self, order: Order) -> bool:
        """Whether a candidate of an order can start."""
        return bool(self._free) and self._load + order.weight <= self._slots

    def next_task(self, order: Order) -> Task:
        """Take a slot for an order's next candidate."""
        self._load += order.weight
        return order.next_task(self._free.pop())

    def start(self, tasks: Sequence[Task]) -> None:
        """Bring candidates into groups."""
        for key in dict.fromkeys(task.order.key for task in tasks):
            group = self._group(key)
            own = [task for task in tasks if task.order.key == key]
            try:
                group.admit(own)
            except Exception as error:
                for task in own:
                    group.tasks.pop(task.slot, None)
                self._fail(own, error)
            if group.tasks and group not in self._groups:
                self._groups.append(group)

    def _group(self, key: Any) -> Group:
        for group in self._groups:
            if group.key == key and group.open:
                return group
        return Group(self._generator, key, self._slots)

    def step(self) -> tuple[int, float]:
        """One step of the group whose turn it is.

        Returns:
            How many slots it had, and the seconds that it took.
        """
        self._drop_dead()
        if not self._groups:
            return 0, 0.0
        group = self._groups.popleft()
        count, begin = len(group.tasks), time.monotonic()
        try:
            ends = group.step()
        except Exception as error:
            self._fail(list(group.tasks.values()), error)
            return count, time.monotonic() - begin
        if group.tasks:
            self._groups.append(group)
        for end in ends:
            self._release(end.task)
            self._finish(end)
        return count, time.monotonic() - begin

    def abandon(self, order: Order) -> None:
        """Drop an order's slots before the next step; it is over already. From any thread."""
        self._abandoned.append(order)

    def _drop_dead(self) -> None:
        """Drop the slots of orders that are over, or whose time is."""
        dead = set()
        while self._abandoned:
            dead.add(self._abandoned.popleft())
        for group in self._groups:
            tasks = list(group.tasks.values())
            for order in {task.order for task in tasks if task.order.late} - dead:
                dead.add(order)
                assert order.timeout is not None
                self._ended(order, "deadline", DeadlineError(order.timeout))
            gone = [task for task in tasks if task.order in dead]
            if gone:
                group.drop([task.slot for task in gone])
            for task in gone:
                self._release(task)
        self._groups = deque(group for group in self._groups if group.tasks)

    def _release(self, task: Task) -> None:
        self._load -= task.order.weight
        self._free.append(task.slot)

    def _finish(self, end: End) -> None:
        """A candidate is over; its order is when all are."""
        order = end.task.order
        order.ended += 1
        if end.pixels is not None:
            order.keep(end.task, end.pixels, self._reward(end))
        elif end.task.number == 0:
            order.failure = end.task.step
        if order.ended < order.request.best_of:
            return
        if order.best is None:
            self._ended(order, "failed", SampleError(order.failure))
        else:
            self._ended(order, "ok", order.image())

    def _reward(self, end: End) -> float:
        request = end.task.order.request
        if request.best_of == 1:
            return 0.0
        assert end.pixels is not None
        return float(self._generator.score(end.pixels[None], request.labels)[0])

    def _fail(self, tasks: Sequence[Task], error: Exception) -> None:
        """An error met candidates that share a batch; nobody knows whose it is."""
        for task in tasks:
            self._release(task)
        for order in dict.fromkeys(task.order for task in tasks):
            self._ended(order, "error", error)
            self.abandon(order)
