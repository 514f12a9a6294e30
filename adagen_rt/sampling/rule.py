"""What every family offers to the loop: a state machine over slots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from array_api_compat import array_namespace, device

Array = Any
Arrays = dict[str, Array]
#: Noise for one step, from the seeds and the step index of every slot.
NoiseSource = Callable[[Array, Array], Any]
S = TypeVar("S", bound="State")


@dataclass(frozen=True)
class State:
    """Samples under way, one row a slot; each has its own label, seed and step.

    Attributes:
        index: Place of each sample in the request (B,) int64.
        labels: Class of each sample (B,) int64.
        seeds: Seed of each sample (B,) int64.
        step: Backbone evaluations done so far (B,) int64.
        smoothed: The schedule's memory (B, A) float32.
        failed: Whether a non-finite number appeared (B,) bool.
    """

    index: Array
    labels: Array
    seeds: Array
    step: Array
    smoothed: Array
    failed: Array

    def __len__(self) -> int:
        return int(self.index.shape[0])

    def take(self: S, rows: Array) -> S:
        """The slots at ``rows`` (int64), in that order.

        Slots are the first axis of a field, or the axis that its metadata names; a
        ``paired`` field has the conditional rows and then the null rows there.
        """
        xp = array_namespace(self.index)
        both = paired(rows, len(self))
        taken = {}
        for spec in fields(self):
            chosen = both if spec.metadata.get("paired") else rows
            value = getattr(self, spec.name)
            taken[spec.name] = xp.take(value, chosen, axis=spec.metadata.get("axis", 0))
        return replace(self, **taken)

    def join(self: S, other: S) -> S:
        """The slots of this state and then those of another."""
        xp = array_namespace(self.index)
        joined = {}
        for spec in fields(self):
            axis, parts = spec.metadata.get("axis", 0), (self, other)
            arrays = [getattr(part, spec.name) for part in parts]
            if spec.metadata.get("paired"):
                halves = [_halves(xp, array, axis) for array in arrays]
                arrays = [half for both in zip(*halves, strict=True) for half in both]
            joined[spec.name] = xp.concat(arrays, axis=axis)
        return replace(self, **joined)


def _halves(xp: Any, array: Array, axis: int) -> tuple[Array, Array]:
    """The conditional and the null rows along an axis."""
    count = array.shape[axis] // 2
    rows = xp.arange(2 * count, device=device(array))
    return xp.take(array, rows[:count], axis=axis), xp.take(array, rows[count:], axis=axis)


class StepRule(ABC, Generic[S]):
    """A family's step rule at a fixed number of steps.

    Attributes:
        actions: Names of the actions that ``advance`` reads.
        steps: Backbone evaluations of a full generation.
        row_axes: Axis of the rows in each of the backbone's outputs where it is not the first.
        mixes_steps: Whether slots at different steps can share a batch.
    """

    actions: tuple[str, ...]
    steps: int
    row_axes: Mapping[str, int] = MappingProxyType({})
    mixes_steps: bool = True

    @property
    def calls(self) -> int:
        """Policy calls of a full generation."""
        return self.steps

    @abstractmethod
    def start(self, blank: State) -> S:
        """Fresh noise, or all tokens masked, for the slots of ``blank``."""

    def prologue(self, state: S) -> Arrays | None:
        """What the policy sees before the first evaluation, if it is asked then."""
        return None

    def begin(self, state: S, actions: Arrays) -> S:
        """Take the decision made before the first evaluation."""
        return state

    @abstractmethod
    def observe(self, state: S) -> Arrays:
        """Inputs of the backbone: conditional rows, then null rows."""

    def features(self, state: S, outputs: Arrays) -> Arrays:
        """What the policy sees of the backbone's outputs: the conditional rows' features."""
        return {"features": split_rows(outputs["features"])[0]}

    def take_outputs(self, outputs: Arrays, rows: Array) -> Arrays:
        """The backbone's outputs, copied, for the slots at ``rows`` (int64), in that order."""
        xp = array_namespace(rows)
        both = paired(rows, outputs["features"].shape[0] // 2)
        return {
            name: xp.take(array, both, axis=self.row_axes.get(name, 0))
            for name, array in outputs.items()
        }

    @abstractmethod
    def advance(self, state: S, outputs: Arrays, actions: Arrays) -> S:
        """One step, from the backbone's outputs and the actions for it."""

    def finished(self, state: S) -> Array:
        """Slots that need no further evaluation (B,) bool."""
        return state.step >= self.steps

    @abstractmethod
    def latents(self, state: S) -> Arrays:
        """Inputs of the decoder, for the best guess at the image so far."""


def paired(rows: Array, count: int) -> Array:
    """Where the conditional and then the null rows of slots are, among those of ``count``."""
    return array_namespace(rows).concat([rows, rows + count])


def paired_rows(state: State, inputs: Arrays, class_count: int) -> Arrays:
    """Every input twice, with the labels, then with the null class: one batch for both."""
    xp = array_namespace(state.labels)
    null = xp.full_like(state.labels, class_count)
    rows = {name: xp.concat([array, array]) for name, array in inputs.items()}
    return {**rows, "labels": xp.concat([state.labels, null])}


def split_rows(output: Array) -> tuple[Array, Array]:
    """The conditional and the null rows of a backbone's output."""
    half = output.shape[0] // 2
    return output[:half, ...], output[half:, ...]
