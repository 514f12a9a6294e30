"""Evaluations that are left out, where the last two tell well enough what the next would give.

Along a sample's path, predictions of a diffusion or flow model change smoothly with time. Where
they hardly change, the next one is the line through the last two, as in the first-order forecast
of TaylorSeer (arXiv 2503.06923); here of the whole prediction, so that nothing is computed at all.
Each sample decides for itself, by how far the line is from the last prediction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from array_api_compat import array_namespace

from adagen_rt.condition import Condition
from adagen_rt.sampling.loop import Decision, Loop
from adagen_rt.sampling.rule import State
from adagen_rt.types import Array, Arrays

#: The output that the next state follows from.
PREDICTION = "prediction"


@dataclass(frozen=True)
class Past:
    """The last two evaluations of each slot.

    Attributes:
        last: The backbone's outputs at the last one, its rows first.
        before: Those at the one before.
        time: Time of the last one (B,) float32.
        time_before: Time of the one before (B,) float32.
        made: Number of evaluations so far (B,) int64.
        reused: Number of those left out so far (B,) int64.
    """

    last: Arrays
    before: Arrays
    time: Array
    time_before: Array
    made: Array
    reused: Array

    @classmethod
    def none(cls, outputs: Arrays, state: State, time: Array) -> Past:
        """Make that of slots that were never evaluated; ``outputs`` gives the sizes."""
        xp = array_namespace(time)
        blank = {name: xp.zeros_like(array) for name, array in outputs.items()}
        zero = xp.zeros_like(state.step)
        return cls(blank, blank, time, time, zero, zero)

    def take(self, condition: Condition, rows: Array) -> Past:
        """Select the slots at ``rows`` (int64)."""
        xp = array_namespace(rows)
        both = condition.places(rows, self.made.shape[0])

        def chosen(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: xp.take(array, both, axis=0) for name, array in value.items()}
            return xp.take(value, rows, axis=0)

        return Past(*(chosen(getattr(self, spec.name)) for spec in fields(self)))

    def join(self, condition: Condition, other: Past) -> Past:
        """Put the slots of another past behind these."""
        xp = array_namespace(self.made)

        def joined(own: Any, theirs: Any) -> Any:
            if isinstance(own, dict):
                return {name: condition.append(own[name], theirs[name]) for name in own}
            return xp.concat([own, theirs])

        names = [spec.name for spec in fields(self)]
        return Past(*(joined(getattr(self, name), getattr(other, name)) for name in names))

    def add(self, condition: Condition, outputs: Arrays, time: Array, made: Array) -> Past:
        """Note a step: ``made`` (B,) bool tells which slots were evaluated, at ``time`` (B,)."""
        xp = array_namespace(made)

        def moved(new: Arrays, old: Arrays) -> Arrays:
            return {
                name: xp.where(_over(condition, made, x), x, old[name]) for name, x in new.items()
            }

        return Past(
            moved(outputs, self.last),
            moved(self.last, self.before),
            xp.where(made, time, self.time),
            xp.where(made, self.time, self.time_before),
            self.made + xp.astype(made, self.made.dtype),
            self.reused + xp.astype(~made, self.made.dtype),
        )


@dataclass(kw_only=True)
class ReusingLoop(Loop):
    """A loop that evaluates a sample only where its predictions change enough.

    Attributes:
        threshold: Largest forecast change of a prediction over its size, as root mean squares over
            all its rows, up to which the forecast takes the place of an evaluation.
    """

    threshold: float

    @classmethod
    def of(cls, loop: Loop, threshold: float) -> ReusingLoop:
        """Make this form of a plain loop."""
        return cls(**vars(loop), threshold=threshold)

    def start(self, index: Array, rows: Arrays, seeds: Array) -> tuple[State, list[Decision]]:
        """Make fresh slots, none of which was evaluated."""
        state, decisions = super().start(index, rows, seeds)
        blank = Past.none(self.rule.blank_outputs(state), state, self.rule.moment(state))
        return replace(state, past=blank), decisions

    def step(self, state: State) -> tuple[State, Decision]:
        """Make one step of all slots, and an evaluation of those that need it."""
        past, condition, time = state.past, state.condition, self.rule.moment(state)
        assert past is not None  # `start` makes it
        xp = array_namespace(time)
        span = past.time - past.time_before
        # Without two evaluations, at two times, there is no line.
        lined = (past.made >= 2) & (span != 0)
        share = (time - past.time) / xp.where(lined, span, 1)
        made = ~lined | self._needs(state, past, share)
        outputs = self._outputs(state, past, share, made)
        noted = replace(state, past=past.add(condition, outputs, time, made))
        return self._decide(noted, outputs)

    def _needs(self, state: State, past: Past, share: Array) -> Array:
        """Tell which slots need an evaluation (B,) bool.

        Args:
            state: The slots.
            past: Their last evaluations.
            share: How many times as far as the last two are apart the next one is from the last.
        """
        xp, last = array_namespace(share), past.last[PREDICTION]
        moved = _sizes(state.condition, last - past.before[PREDICTION])
        size = _sizes(state.condition, last)
        # Also where one is not a number.
        return ~(xp.abs(share) * moved < self.threshold * size)

    def _outputs(self, state: State, past: Past, share: Array, made: Array) -> Arrays:
        """Evaluate some slots, and forecast the others."""
        xp, condition = array_namespace(made), state.condition
        rows = xp.nonzero(made)[0]
        if rows.shape[0] == made.shape[0]:
            return self._evaluate(state)
        forecast = {
            name: last + _over(condition, share, last) * (last - past.before[name])
            for name, last in past.last.items()
        }
        if not rows.shape[0]:
            return forecast
        some = replace(state, past=None).take(rows)
        place = xp.clip(xp.cumulative_sum(xp.astype(made, xp.int64)) - 1, 0, None)
        outputs = self.rule.take_outputs(some, self._evaluate(some), place)
        return {
            name: xp.where(_over(condition, made, given), given, forecast[name])
            for name, given in outputs.items()
        }


def _sizes(condition: Condition, values: Array) -> Array:
    """Return the size of a slot's rows (B,); a sole row counts twice, in each size alike."""
    xp = array_namespace(values)
    # One axis, so that a slot's sum is the same whatever the batch.
    squares = xp.sum(xp.reshape(values * values, (values.shape[0], -1)), axis=1)
    own, null = condition.split(squares)
    return xp.sqrt(own + null)


def _over(condition: Condition, values: Array, rows: Array) -> Array:
    """Lay a number of each slot (B,) out beside the axes of the backbone's rows."""
    xp = array_namespace(values)
    both = xp.concat([values, values]) if condition.paired else values
    return xp.reshape(both, (-1, *[1] * (rows.ndim - 1)))
