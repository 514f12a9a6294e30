"""Step-level continuous batching on one thread: slots are filled and emptied between steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from adagen_rt.errors import SampleError
from adagen_rt.serving.batching.group import End, Group, Steps
from adagen_rt.serving.batching.job import Image, Outcome, Pixels
from adagen_rt.serving.batching.order import Key, Order, Task
from adagen_rt.serving.batching.seats import Seats
from adagen_rt.serving.batching.shares import Shares
from adagen_rt.serving.batching.whole import WholeGroup, Wholes

#: Weight of the last step in the average time of a row.
RECENT = 0.1
#: Called with an ended order, its outcome, and its image or error.
Ended = Callable[[Order, Outcome, "Image | BaseException | None"], object]


class Scheduler:
    """Slots and their groups; its methods run on the compute thread.

    Samples that may share a loop share a batch, at whatever step each of them is. Groups with
    different options take their steps in turns, and clients and requests share the steps of all.
    VAR's samples can only start together, so that it
    has several groups with the same options. These run one after another: in turns, all of them
    would be late, and samples that arrive meanwhile would not share a batch.

    Args:
        maker: Makes the samples, a step at a time or whole.
        slots: Largest number of samples at once.
        ended: Called when an order has ended.
    """

    def __init__(self, maker: Steps | Wholes, slots: int, ended: Ended) -> None:
        self._maker = maker
        self._ended = ended
        self._mixes = maker.mixes
        self.seats = Seats(slots, self._mixes)
        self._shares = Shares(slots)
        self._groups: list[Group | WholeGroup] = []
        #: Seconds that a backbone row takes, averaged over recent steps.
        self.pace = 0.0
        #: Backbone rows that the samples under way still need. Other threads read it, which cannot
        #: go through groups that change meanwhile.
        self.left = 0

    @property
    def running(self) -> int:
        """Slots in use."""
        return self.seats.taken

    def next_task(self, order: Order) -> Task:
        """Take a slot for an order's next candidate."""
        return order.next_task(self.seats.take(order))

    def admit(self, tasks: Sequence[Task]) -> None:
        """Add candidates to groups."""
        for task in tasks:
            self._group(task.order.key).admit(task)
        self._count_left()

    def _group(self, key: Key) -> Group | WholeGroup:
        for group in self._groups:
            if group.key == key and group.open:
                return group
        self._groups.append(self._maker.group(key, self.seats.count))
        return self._groups[-1]

    def step(self) -> tuple[int, float]:
        """Make one step of the group whose turn it is.

        Returns:
            Number of the slots that made it, and the seconds that it took.
        """
        self._drop_dead()
        self._count_left()
        if not self._groups:
            return 0, 0.0
        begin = time.monotonic()
        group, tasks = self._choose()
        self._start(group)
        tasks = [task for task in tasks if group.started(task)]
        if tasks:
            self._advance(group, tasks)
        # The turn passes to other options; the sort is stable for groups with the same options.
        self._groups.sort(key=lambda other: other.key == group.key)
        self._forget_empty()
        self._count_left()
        seconds = time.monotonic() - begin
        if tasks:
            self._measure(seconds / group.rows(tasks))
        return len(tasks), seconds

    def _count_left(self) -> None:
        tasks = [task for group in self._groups for task in group.tasks.values()]
        left = [(task.order.request.steps - task.step) * task.order.step_cost for task in tasks]
        self.left = sum(left)

    def _measure(self, now: float) -> None:
        self.pace += RECENT * (now - self.pace) if self.pace else now

    def _choose(self) -> tuple[Group | WholeGroup, list[Task]]:
        """Choose the group whose turn it is, and the samples in it whose step it is."""
        if not self._mixes:
            return self._groups[0], list(self._groups[0].tasks.values())
        due = self._shares.due(task for group in self._groups for task in group.tasks.values())
        group = next(group for group in self._groups if due & set(group.tasks.values()))
        tasks = self._shares.fit(due & set(group.tasks.values()))
        self._shares.charge(tasks)
        return group, tasks

    def _start(self, group: Group | WholeGroup) -> None:
        """Start a group's new samples; an error ends only these."""
        new = group.enter()
        if not new:
            return
        try:
            group.start(new)
        except Exception as error:
            group.drop(new)
            self._fail(new, error)

    def _advance(self, group: Group | WholeGroup, tasks: Sequence[Task]) -> None:
        """Make one step of samples; an error ends all of these, as its cause is unknown."""
        try:
            ends = group.step(tasks)
        except Exception as error:
            group.drop(tasks)
            self._fail(tasks, error)
            return
        for end in ends:
            self.seats.release(end.task)
            self._finish(end)

    def _drop_dead(self) -> None:
        """Drop the slots of orders that have ended or are late."""
        for group in self._groups:
            gone = [task for task in group.tasks.values() if task.order.over or task.order.late]
            if gone:
                group.drop(gone)
            for task in gone:
                self.seats.release(task)
                if not task.order.over:
                    self._ended(task.order, "deadline", task.order.lateness)
        self._forget_empty()

    def _forget_empty(self) -> None:
        self._groups = [group for group in self._groups if group.tasks]

    def _finish(self, end: End) -> None:
        """End a candidate, and its order when all candidates have ended."""
        order = end.task.order
        if order.over:
            return
        order.ended += 1
        if end.pixels is not None:
            try:
                order.keep(end.task, end.pixels, self._reward(order, end.pixels))
            except Exception as error:
                self._ended(order, "error", error)
        elif end.task.number == 0:
            order.failure = end.task.step
        if order.over or order.ended < order.candidates:
            return
        if order.kept is None:
            self._ended(order, "failed", SampleError(order.failure))
        else:
            self._ended(order, "ok", order.image())

    def _reward(self, order: Order, pixels: Pixels) -> float:
        if order.candidates == 1:
            return 0.0
        return float(self._maker.score_rows(pixels[None], order.request.rows)[0])

    def _fail(self, tasks: Sequence[Task], error: Exception) -> None:
        """End the orders of candidates that met an error, with all of their other candidates."""
        for task in tasks:
            self.seats.release(task)
        for order in dict.fromkeys(task.order for task in tasks):
            self._ended(order, "error", error)
