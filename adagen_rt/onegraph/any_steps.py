"""Numbers of steps that are known when a model runs, for each sample its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from adagen_rt.engine.family import FamilySpec
from adagen_rt.engine.schedule import Schedule, ScheduleSpec
from adagen_rt.onegraph.traced import Traced


class OpenSchedule(Schedule):
    """A schedule at each sample's number of steps: the tables of all numbers are in the model.

    Args:
        spec: The action space.
        steps: Backbone evaluations (B,) int64, an array that `whole_steps` made.
        calls: Policy calls (B,) int64.
        family: The family, which says what numbers it can take.
    """

    def __init__(self, spec: ScheduleSpec, steps: Any, calls: Any, family: FamilySpec) -> None:
        self.spec, self.steps, self.calls, self.ending = spec, steps, calls, family.ending
        largest = steps.largest
        # A sample that is done is one call behind its last.
        self._width = family.calls(largest) + 1
        table = np.zeros((largest + 1, self._width, len(spec.actions)), np.float32)
        for number in allowed_steps(family, largest):
            own = Schedule(spec, number, family.calls(number)).residual
            table[number, : len(own)] = own
        self.residual = table.reshape(-1, len(spec.actions))

    def residual_at(self, call: Any) -> Any:
        """Return the rows (B, A) of policy calls (B,) int64."""
        return super().residual_at(self.steps * self._width + call)


class Steps(Traced):
    """Numbers of steps (B,) int64.

    Attributes:
        largest: The largest that there can be.
    """

    largest: int


def allowed_steps(family: FamilySpec, largest: int) -> list[int]:
    """List the numbers of steps that a family can take."""
    return [n for n in range(1, largest + 1) if family.check_steps(n) is None]


def whole_steps(family: FamilySpec, given: Traced, largest: int) -> tuple[Steps, Traced]:
    """Bring numbers of steps (B,) into their range, and tell which were outside (B,)."""
    xp, allowed = given.xp, allowed_steps(family, largest)
    table = np.array([n if n in allowed else largest for n in range(largest + 1)])
    inside = xp.clip(given, 0, largest)
    chosen = xp.take(xp.asarray(table), inside)
    steps = Steps(xp, chosen.shape, np.int64, value=chosen.value)
    steps.largest = largest
    return steps, given != chosen
