"""The contract between the loop and a family: a state machine over slots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from array_api_compat import array_namespace

from adagen_rt.condition import Condition
from adagen_rt.types import Array, Arrays

if TYPE_CHECKING:
    from adagen_rt.sampling.reuse import Past

#: Noise for one step, from the seeds and the step index of every slot.
NoiseSource = Callable[[Array, Array], Any]
S = TypeVar("S", bound="State")


@dataclass(frozen=True)
class State:
    """Samples under way, one row a slot; each has its own condition, seed and step.

    Attributes:
        index: Place of each sample in the request (B,) int64.
        condition: Conditions of the samples, as inputs of the backbone.
        seeds: Seed of each sample (B,) int64.
        step: Backbone evaluations done so far (B,) int64.
        smoothed: The schedule's memory (B, A) float32.
        failed: Whether a non-finite number appeared (B,) bool.
        past: The last evaluations, of a loop that reuses them; None of others.
    """

    index: Array
    condition: Condition
    seeds: Array
    step: Array
    smoothed: Array
    failed: Array
    past: Past | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return int(self.index.shape[0])

    def take(self: S, rows: Array) -> S:
        """Select the slots at ``rows`` (int64), in that order.

        Slots are the first axis of a field, or the axis that its metadata names; a
        ``paired`` field has the backbone's rows there, as the condition has them.
        """
        xp, count = array_namespace(self.index), self.index.shape[0]
        both = self.condition.places(rows, count)
        taken: dict[str, Any] = {"condition": self.condition.take(rows, count)}
        if self.past is not None:
            taken["past"] = self.past.take(self.condition, rows)
        for spec, value in self._arrays():
            chosen = both if spec.get("paired") else rows
            taken[spec["name"]] = xp.take(value, chosen, axis=spec.get("axis", 0))
        return replace(self, **taken)

    def join(self: S, other: S) -> S:
        """Put the slots of another state behind these."""
        xp = array_namespace(self.index)
        joined: dict[str, Any] = {"condition": self.condition.join(other.condition)}
        if self.past is not None and other.past is not None:
            joined["past"] = self.past.join(self.condition, other.past)
        for spec, value in self._arrays():
            axis, theirs = spec.get("axis", 0), getattr(other, spec["name"])
            if spec.get("paired"):
                joined[spec["name"]] = self.condition.append(value, theirs, axis)
            else:
                joined[spec["name"]] = xp.concat([value, theirs], axis=axis)
        return replace(self, **joined)

    def _arrays(self) -> list[tuple[dict[str, Any], Array]]:
        """List every field that is an array, with its name and where its slots are."""
        return [
            ({"name": spec.name, **spec.metadata}, getattr(self, spec.name))
            for spec in fields(self)
            if spec.name not in ("condition", "past")
        ]


class StepRule(ABC, Generic[S]):
    """A family's step rule at a fixed number of steps.

    Attributes:
        steps: Backbone evaluations of a full generation.
        row_axes: Axis of the rows in each of the backbone's outputs where it is not the first.
    """

    steps: int
    row_axes: Mapping[str, int] = MappingProxyType({})

    @abstractmethod
    def start(self, blank: State) -> S:
        """Make fresh noise, or mask all tokens, for the slots of ``blank``."""

    def prologue(self, state: S) -> Arrays | None:
        """Return the policy's inputs before the first evaluation, or None without a call then."""
        return None

    def begin(self, state: S, actions: Arrays) -> S:
        """Take the decision made before the first evaluation."""
        return state

    @abstractmethod
    def observe(self, state: S) -> Arrays:
        """Make the backbone's inputs: conditional rows, then null rows if there are any."""

    def features(self, state: S, outputs: Arrays) -> Arrays:
        """Select the policy's inputs from the backbone's outputs: conditional rows' features."""
        return {"features": state.condition.split(outputs["features"])[0]}

    def moment(self, state: S) -> Array:
        """Return the time of the next evaluation (B,) float32, of a family that `reuses`."""
        raise NotImplementedError

    def blank_outputs(self, state: S) -> Arrays:
        """Make zeros of the sizes of the backbone's outputs, of a family that `reuses`."""
        raise NotImplementedError

    def take_outputs(self, state: State, outputs: Arrays, rows: Array) -> Arrays:
        """Copy the backbone's outputs for the slots at ``rows`` (int64), in that order.

        Args:
            state: A state with the same kind of condition.
            outputs: The backbone's outputs.
            rows: Places among the slots that were evaluated.
        """
        xp, condition = array_namespace(rows), state.condition
        both = condition.places(rows, outputs["features"].shape[0] // condition.copies)
        return {
            name: xp.take(array, both, axis=self.row_axes.get(name, 0))
            for name, array in outputs.items()
        }

    @abstractmethod
    def advance(self, state: S, outputs: Arrays, actions: Arrays) -> S:
        """Make one step, from the backbone's outputs and the actions for it."""

    def finished(self, state: S) -> Array:
        """Tell which slots need no further evaluation (B,) bool."""
        return state.step >= self.steps

    @abstractmethod
    def latents(self, state: S) -> Arrays:
        """Make the decoder's inputs, for the best guess at the image so far."""
