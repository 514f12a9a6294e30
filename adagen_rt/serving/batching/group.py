"""Slots that share a batch: one loop, one state, samples at different steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import join_rows
from adagen_rt.sampling.loop import Decision
from adagen_rt.sampling.memory import HOST
from adagen_rt.sampling.result import Images, Snapshot
from adagen_rt.sampling.rule import State
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.serving.batching.job import Pixels, Progress
from adagen_rt.serving.batching.order import Key, Task
from adagen_rt.types import Arrays

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class End:
    """A candidate that is over.

    Attributes:
        task: The candidate.
        pixels: Its image; None if it failed.
    """

    task: Task
    pixels: Pixels | None


class Steps:
    """Makes samples a step at a time.

    Args:
        sampler: The graphs.

    Attributes:
        mixes: Whether samples of one group may be at different steps.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.mixes = sampler.manifest.family.mixes_steps

    def group(self, key: Key, slots: int) -> Group:
        """Make a group of samples with the same parameters."""
        return Group(self._sampler, key, slots)

    def score_rows(self, images: Images, rows: Arrays) -> npt.NDArray[np.float32]:
        """Score images by the engine's reward model."""
        return self._sampler.score_rows(images, rows)


class Group:
    """A loop under way.

    Args:
        sampler: The graphs.
        key: Parameters that its slots share.
        slots: Largest number of slots.
    """

    def __init__(self, sampler: Sampler, key: Key, slots: int) -> None:
        self.key = key
        self.tasks: dict[int, Task] = {}
        self._sampler = sampler
        # Each slot's own share of the fidelity policy; the loop reads it at every step.
        self._shares = np.full(slots, float(key.blended), np.float32)
        self._loop = sampler.loop(key.params, self._shares if key.blended else None)
        self._state: State | None = None
        self._new: list[Task] = []

    @property
    def open(self) -> bool:
        """Whether other samples can join: the step rule allows it, or no step was made."""
        return self._sampler.manifest.family.mixes_steps or self._state is None

    def admit(self, task: Task) -> None:
        """Add a sample, which has no state before its group's turn."""
        self.tasks[task.slot] = task
        self._new.append(task)

    def enter(self) -> list[Task]:
        """Return the samples that have to be started now, of those added since.

        All of them, unless that takes more than one prompt's time of a text encoder, for which
        those under way would wait; the others have their turn after the next step.
        """
        count = len(self._new)
        if self._sampler.manifest.family.mixes_steps:
            while count > 1 and self._loop.conditioner.missing(self._rows(self._new[:count])) > 1:
                count -= 1
        new, self._new = self._new[:count], self._new[count:]
        return new

    def started(self, task: Task) -> bool:
        """Whether a sample has a state."""
        return task.slot in self.tasks and task not in self._new

    def _rows(self, tasks: Sequence[Task]) -> Arrays:
        spec = self._sampler.manifest.condition
        return join_rows([spec.inputs(task.order.request.rows) for task in tasks])

    def start(self, tasks: Sequence[Task]) -> None:
        """Make the first state of samples."""
        slots = np.array([task.slot for task in tasks], np.int64)
        rows = self._rows(tasks)
        seeds = np.array([task.seed for task in tasks], np.int64)
        self._shares[slots] = [task.order.request.fidelity[0] for task in tasks]
        state, decisions = self._loop.start(slots, rows, seeds)
        for decision in decisions:
            self._record(decision)
        self._state = state if self._state is None else self._state.join(state)

    def drop(self, tasks: Sequence[Task]) -> None:
        """Forget samples."""
        slots = [task.slot for task in tasks]
        for slot in slots:
            self.tasks.pop(slot, None)
        self._new = [task for task in self._new if task not in tasks]
        if self._state is not None:
            rows = np.flatnonzero(~np.isin(np.asarray(self._state.index), slots))
            self._state = self._state.take(rows) if len(rows) else None

    def rows(self, tasks: Sequence[Task]) -> int:
        """Count the backbone rows of a step of samples."""
        return sum(task.order.step_cost for task in tasks)

    def step(self, tasks: Sequence[Task]) -> list[End]:
        """Make one step of some of its samples; return and drop those that have ended."""
        chosen, others = self._divide(tasks)
        before = self._loop.timings.backbone_rows
        state, decision = self._loop.step(chosen)
        self._record(decision)
        rows = (self._loop.timings.backbone_rows - before) / len(state)
        for task, step in zip(self._of(state), np.asarray(state.step), strict=True):
            task.order.rows += rows
            task.step = int(step)
        ended, rest = self._loop.split(state)
        self._state = _joined(rest, others)
        ends = self._finish(ended) if len(ended) else []
        self._show(rest)
        return ends

    def _divide(self, tasks: Sequence[Task]) -> tuple[State, State | None]:
        """Divide the state into that of some samples and that of the others."""
        assert self._state is not None  # a group without slots is not stepped
        due = np.isin(np.asarray(self._state.index), [task.slot for task in tasks])
        if due.all():
            return self._state, None
        return self._state.take(np.flatnonzero(due)), self._state.take(np.flatnonzero(~due))

    def _finish(self, ended: State) -> list[End]:
        snapshot = Snapshot.of(ended, self._loop.rule, HOST)
        pixels = self._sampler.decode(self._loop, snapshot)
        ends = []
        rows = zip(self._of(ended), pixels, snapshot.failed, snapshot.reused, strict=True)
        for task, image, failed, reused in rows:
            del self.tasks[task.slot]
            task.reused = int(reused)
            if not failed and task.order.watch is not None and task.number == 0:
                tell(task, image)
            ends.append(End(task, None if failed else image.copy()))
        return ends

    def _show(self, state: State) -> None:
        """Show the slots that go on to their watchers."""
        rows = [row for row, task in enumerate(self._of(state)) if task.watched]
        if not rows:
            return
        seen = state.take(np.array(rows))
        pixels = self._sampler.decode(self._loop, Snapshot.of(seen, self._loop.rule, HOST))
        for task, image in zip(self._of(seen), pixels, strict=True):
            tell(task, image)

    def _of(self, state: State) -> list[Task]:
        return [self.tasks[slot] for slot in np.asarray(state.index).tolist()]

    def _record(self, decision: Decision) -> None:
        calls = self._loop.schedule.calls
        for row, slot in enumerate(np.asarray(decision.index).tolist()):
            self.tasks[slot].record(decision, row, calls)


def _joined(state: State, others: State | None) -> State | None:
    if others is None:
        return state if len(state) else None
    return state.join(others) if len(state) else others


def tell(task: Task, pixels: Pixels) -> None:
    """Show a sample to its watcher."""
    order = task.order
    assert order.watch is not None
    chosen = {name: values[: task.calls].copy() for name, values in task.schedule.items()}
    try:
        order.watch(Progress(task.step, order.request.steps, chosen, pixels.copy()))
    except BaseException:
        # Whatever a watcher raises, SystemExit too, must not stop the samples of others.
        _log.exception("job %s is no longer watched", order.job.id)
        order.watch = None
