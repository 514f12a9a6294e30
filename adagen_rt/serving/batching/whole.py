"""Samples that are made whole: by a pipeline whose steps the host does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import join_rows
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Images, Result
from adagen_rt.serving.batching.group import End, Steps, tell
from adagen_rt.serving.batching.order import Key, Task
from adagen_rt.types import Arrays


def maker_of(pipeline: Pipeline) -> Steps | Wholes:
    """Return what makes samples with a pipeline, a step at a time where the host sees them."""
    return Steps(pipeline.sampler) if pipeline.capabilities.streams else Wholes(pipeline)


class Wholes:
    """Makes samples whole; see `Steps`.

    Attributes:
        mixes: Samples of one group share a batch, whenever they came.
    """

    mixes = True

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def group(self, key: Key, slots: int) -> WholeGroup:
        """Make a group of samples with the same parameters."""
        return WholeGroup(self._pipeline, key)

    def score_rows(self, images: Images, rows: Arrays) -> npt.NDArray[np.float32]:
        """Score images by the engine's reward model."""
        return self._pipeline.score_rows(images, rows)


class WholeGroup:
    """Samples with the same parameters, which one step makes from noise to pixels; see `Group`.

    Args:
        pipeline: Makes them.
        key: Parameters that they share.
    """

    open = True

    def __init__(self, pipeline: Pipeline, key: Key) -> None:
        self.key = key
        self.tasks: dict[int, Task] = {}
        self._pipeline = pipeline

    def admit(self, task: Task) -> None:
        """Add a sample."""
        self.tasks[task.slot] = task

    def enter(self) -> list[Task]:
        """Return the samples that have to be started now: none, for a step starts its own."""
        return []

    def start(self, tasks: Sequence[Task]) -> None:
        """Start samples, of which there are none."""

    def started(self, task: Task) -> bool:
        """Whether a sample is here."""
        return task.slot in self.tasks

    def drop(self, tasks: Sequence[Task]) -> None:
        """Forget samples."""
        for task in tasks:
            self.tasks.pop(task.slot, None)

    def rows(self, tasks: Sequence[Task]) -> int:
        """Count the backbone rows of a step of samples."""
        return sum(task.order.request.steps for task in tasks)

    def step(self, tasks: Sequence[Task]) -> list[End]:
        """Make some of its samples, and drop them."""
        result = self._pipeline.run(_joined(tasks), batch_size=len(tasks))
        self.drop(tasks)
        return [self._end(task, result, place) for place, task in enumerate(tasks)]

    def _end(self, task: Task, result: Result, place: int) -> End:
        task.schedule = {name: rows[:, place].copy() for name, rows in result.schedule.items()}
        task.calls = max(map(len, task.schedule.values()), default=0)
        task.order.rows += result.timings.backbone_rows / len(result)
        failed = place in result.failures
        task.step = result.failures[place] if failed else task.order.request.steps
        pixels = None if failed else result.images[place].copy()
        if pixels is not None and task.order.watch is not None and task.number == 0:
            tell(task, pixels)
        return End(task, pixels)


def _joined(tasks: Sequence[Task]) -> Request:
    """Join the candidates of orders with the same parameters to one request."""
    requests = [task.order.request for task in tasks]
    return Request(
        join_rows([request.rows for request in requests]),
        np.array([task.seed for task in tasks], np.int64),
        replace(requests[0].params, best_of=1),
        np.concatenate([request.fidelity for request in requests]),
    )
