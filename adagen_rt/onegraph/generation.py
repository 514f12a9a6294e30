"""The runtime's own loop on traced arrays: unrolled, or as a loop of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace

from adagen_rt.onegraph.looping import write_loop
from adagen_rt.onegraph.null_rows import known_null, spared
from adagen_rt.onegraph.traced import Traced
from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.rule import State
from adagen_rt.types import Arrays

#: Fields of a state that no step changes.
CONSTANT = ("index", "condition", "seeds", "past")


@dataclass(frozen=True)
class Made:
    """What a traced generation gives.

    Attributes:
        state: The samples after the last step.
        schedule: Actions (B, calls, A) float32; NaN for calls that a sample did not need.
        failed: The step at which a sample met a number that is not finite (B,) int64, or 0.
    """

    state: State
    schedule: Traced
    failed: Traced


#: Writes the steps: from a loop, the largest number of steps, the samples' places, rows and seeds.
Write: TypeAlias = Callable[[Loop, int, Traced, Arrays, Traced], Made]


def unroll(loop: Loop, steps: int, index: Traced, rows: Arrays, seeds: Traced) -> Made:
    """Write every step, one after the other."""
    state, columns = _start(loop, index, rows, seeds)
    failed = seeds.xp.zeros_like(seeds)
    for _ in range(steps):
        state, column, failed = advance(loop, state, failed)
        columns.append(column)
    return Made(state, seeds.xp.concat(columns, axis=1), failed)


def repeat(loop: Loop, steps: int, index: Traced, rows: Arrays, seeds: Traced) -> Made:
    """Write one step, which the model repeats until every sample is done."""
    xp = seeds.xp
    state, before = _start(loop, index, rows, seeds)
    sizes = (seeds.shape[0], steps, len(loop.schedule.spec.actions))
    carried = changing(state) | {
        "schedule": xp.full(sizes, np.nan, dtype=np.float32),
        "failed_at": xp.zeros_like(seeds),
    }
    null = known_null(loop, state)

    def body(number: Traced, now: dict[str, Any]) -> tuple[Traced, dict[str, Traced]]:
        schedule, failed = now.pop("schedule"), now.pop("failed_at")
        stepped = loop if null is None else spared(loop, null, number == 0)
        after, column, failed = advance(stepped, replace(state, **now), failed)
        here = xp.arange(steps)[None, :, None] == number
        schedule = xp.where(here, column, schedule)
        goes_on = xp.any(~(loop.rule.finished(after) | after.failed))
        return goes_on, changing(after) | {"schedule": schedule, "failed_at": failed}

    ended: dict[str, Any] = write_loop(xp, steps, carried, body)
    schedule, failed = ended.pop("schedule"), ended.pop("failed_at")
    return Made(replace(state, **ended), xp.concat([*before, schedule], axis=1), failed)


def _start(loop: Loop, index: Traced, rows: Arrays, seeds: Traced) -> tuple[State, list[Traced]]:
    state, decisions = loop.start(index, rows, seeds)
    return state, [column_of(loop, decision) for decision in decisions]


def advance(
    loop: Loop, state: State, failed: Traced, *, apart: bool = False
) -> tuple[State, Traced, Traced]:
    """Make a step of the samples that are not done.

    Args:
        loop: The loop.
        state: The samples.
        failed: Steps at which samples failed (B,) int64, or 0.
        apart: Whether samples may be at different steps.

    Returns:
        The state, the step's actions (B, 1, A), and ``failed`` after it.
    """
    xp: Any = array_namespace(state.seeds)
    begun, asked = state, replace(state, step=xp.zeros_like(state.step))
    if apart or isinstance(loop.rule.steps, Traced):
        # Nothing has entries for steps beyond the last, which is what a sample that is done is at.
        begun = replace(state, step=xp.clip(state.step, 0, loop.rule.steps - 1))
        asked = state
    # Else, no sample has made its last step here; whether it needs another is all that is asked.
    done: Any = loop.rule.finished(asked)
    after, decision = loop.step(begun)
    column = xp.where((done | state.failed)[:, None, None], np.nan, column_of(loop, decision))
    after = _held(done, state, after, () if asked is state else ("step",))
    first = after.failed & (failed == 0)
    return after, column, xp.where(first, after.step, failed)


def _held(done: Traced, before: State, after: State, free: tuple[str, ...]) -> State:
    """Keep samples that are done as they were, but for some fields."""
    if done.known is not None and not done.known.any():
        return after
    held: dict[str, Any] = {
        name: done.xp.where(done.column(new.ndim), getattr(before, name), new)
        for name, new in changing(after).items()
        if name not in free
    }
    return replace(after, **held)


def column_of(loop: Loop, decision: Decision) -> Traced:
    """Stack a decision's actions (B, 1, A)."""
    actions = [decision.actions[name] for name in loop.schedule.spec.names]
    column: Traced = actions[0].xp.stack(actions, axis=-1)[:, None, :]
    return column


def changing(state: State) -> dict[str, Any]:
    """List the arrays of a state that a step changes."""
    names = [spec.name for spec in fields(state) if spec.name not in CONSTANT]
    return {name: getattr(state, name) for name in names}
