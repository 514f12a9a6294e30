"""Map from a policy's output to the parameters of one generation step.

The rule is AdaGen's (arXiv 2603.06993): the network's output is added to a residual
that stands for the hand-made schedule, smoothed over the steps, and squashed into
the action's range. A zero output reproduces the static schedule exactly, so a static
schedule is a policy too. Policies of AdaNAT (arXiv 2409.00342) may do without the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace, device
from pydantic import Field, ValidationInfo, field_validator, model_validator

from adagen_rt.engine.solver_times import Shifted
from adagen_rt.engine.static_schedules import Constant, StaticSchedule
from adagen_rt.errors import InputError
from adagen_rt.types import Array, Spec

#: The action that ends a sample early, and the value above which it does.
STOP, STOP_ABOVE = "stop", 0.5
#: Values are kept this far from the ends of their range before the inverse activation, as
#: published for the logit; a static guidance of 0 would be minus infinity.
INVERSE_MARGIN = 1e-6


class ActionSpec(Spec):
    """One parameter that is chosen at every step.

    Attributes:
        name: The field's term for it, such as ``guidance_scale``.
        activation: ``sigmoid`` (range 0 to ``scale``) or ``softplus`` (0 upwards).
        scale: Upper end of a sigmoid's range.
        static: The hand-made schedule that the policy starts from.
    """

    name: str
    activation: Literal["sigmoid", "softplus"]
    scale: float = Field(1.0, gt=0)
    static: StaticSchedule

    @property
    def range(self) -> tuple[float, float]:
        """Open interval of the possible values."""
        return (0.0, self.scale) if self.activation == "sigmoid" else (0.0, float("inf"))

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Return the pre-activation that gives ``values``, float64."""
        if self.activation == "sigmoid":
            p = np.clip(values / self.scale, INVERSE_MARGIN, 1 - INVERSE_MARGIN)
            return np.asarray(np.log(p) - np.log1p(-p))
        v = np.maximum(values, INVERSE_MARGIN)
        return np.asarray(v + np.log(-np.expm1(-v)))

    def activate(self, x: Array) -> Array:
        """Activate ``x`` elementwise, without overflow for any finite x."""
        xp = array_namespace(x)
        e = xp.exp(-xp.abs(x))
        if self.activation == "sigmoid":
            return self.scale * xp.where(x >= 0, 1.0, e) / (1.0 + e)
        return xp.log1p(e) + xp.where(x > 0, x, xp.zeros_like(x))


#: Far enough from the threshold that a policy in training seldom stops by chance alone.
DEFAULT_STOP = ActionSpec(name=STOP, activation="sigmoid", static=Constant(value=0.2))
#: Name of an action, and the value of it that makes a step a sample's last.
Ending = tuple[str, float]


class ScheduleSpec(Spec):
    """The action space of an engine and its default number of steps.

    Attributes:
        steps: Backbone evaluations per image that the policy was trained for.
        smoothing: Weight of the previous step's smoothed action, 0 (none) to below 1.
        residual: Whether a policy's output is added to the static schedule. AdaNAT's policies for
            ImageNet choose by themselves: their output alone goes through the activation.
        stopping: Whether the policy may end a sample before its last step. An action `stop` says
            so where it is above 1/2; it is not smoothed, and a static schedule's stays below.
        actions: Columns of the policy's output, in order. With `stopping`, `stop` is added where
            it is not among them.
        tuned: The best static schedule that a search found, one entry per action; it serves
            comparisons, and no policy starts from it.
    """

    newer: ClassVar[tuple[str, ...]] = ("residual", "stopping")
    steps: int = Field(ge=1, le=1000)
    smoothing: float = Field(0.0, ge=0, lt=1)
    residual: bool = True
    stopping: bool = False
    actions: tuple[ActionSpec, ...]
    tuned: tuple[StaticSchedule, ...] | None = None

    @field_validator("actions")
    @classmethod
    def _has_stop_if_it_stops(
        cls, actions: tuple[ActionSpec, ...], info: ValidationInfo
    ) -> tuple[ActionSpec, ...]:
        found = [action for action in actions if action.name == STOP]
        if not info.data.get("stopping", False):
            if found:
                raise ValueError(f"got {STOP}, expected it with stopping: true alone")
            return actions
        for action in found:
            _check_stop(action)
        return actions if found else (*actions, DEFAULT_STOP)

    @model_validator(mode="after")
    def _one_tuned_schedule_an_action(self) -> ScheduleSpec:
        if self.tuned is not None and len(self.tuned) != len(self.actions):
            raise ValueError(f"tuned: got {len(self.tuned)}, expected one an action")
        return self

    def under(self, statics: Sequence[StaticSchedule]) -> ScheduleSpec:
        """Copy the action space with other static schedules, one per action."""
        pairs = zip(self.actions, statics, strict=True)
        actions = tuple(action.model_copy(update={"static": static}) for action, static in pairs)
        return self.model_copy(update={"actions": actions})

    def at(self, tokens: int) -> ScheduleSpec:
        """Copy the action space for images of so many patches, on which some schedules depend."""
        tuned = None if self.tuned is None else tuple(_at(static, tokens) for static in self.tuned)
        other = self.under([_at(action.static, tokens) for action in self.actions])
        return other.model_copy(update={"tuned": tuned})

    def static_spec(self) -> ScheduleSpec:
        """Copy the action space for zeros in the policy's place, which are the static schedule."""
        return self.model_copy(update={"residual": True})

    def tuned_spec(self) -> ScheduleSpec:
        """Copy the action space with the tuned static schedules as its own.

        Raises:
            InputError: No search has found any.
        """
        if self.tuned is None:
            raise InputError("schedule", "tuned", "an engine whose static schedule was searched")
        return self.under(self.tuned)

    @property
    def names(self) -> tuple[str, ...]:
        """Action names in the order of the policy's columns."""
        return tuple(action.name for action in self.actions)

    @property
    def stop(self) -> int | None:
        """Column of the action that ends a sample; None without one."""
        return self.names.index(STOP) if self.stopping else None


class Schedule:
    """A schedule at a fixed number of steps.

    Args:
        spec: The action space.
        steps: Backbone evaluations per image.
        calls: Number of policy calls: ``steps``, or one more where the family needs a
            decision before its first evaluation.
        ending: What a step that ends a sample is given; needed where the policy may stop.
    """

    def __init__(
        self, spec: ScheduleSpec, steps: int, calls: int, ending: Ending | None = None
    ) -> None:
        self.spec = spec
        self.steps = steps
        self.calls = calls
        self.ending = ending
        self.residual = self._residual().astype(np.float32)

    def _residual(self) -> np.ndarray:
        """Pull the static schedule back through activation and smoothing, (calls, A)."""
        if not self.spec.residual:
            return np.zeros((self.calls, len(self.spec.actions)))
        columns = [a.inverse(a.static.values(self.steps, self.calls)) for a in self.spec.actions]
        target = np.stack(columns, axis=1)
        residual: np.ndarray = target.copy()
        s = self.spec.smoothing
        residual[1:] = (target[1:] - s * target[:-1]) / (1 - s)
        if self.spec.stop is not None:
            residual[:, self.spec.stop] = target[:, self.spec.stop]
        return residual

    def residual_at(self, call: Array) -> Array:
        """Return the rows (B, A) of policy calls (B,) int64."""
        xp = array_namespace(call)
        return xp.take(xp.asarray(self.residual, device=device(call)), call, axis=0)

    def decide(self, raw: Array, step: Array, previous: Array) -> tuple[dict[str, Array], Array]:
        """Compute the actions of one policy call.

        Args:
            raw: The policy's output (B, A) float32; zeros give the static schedule, unless there
                is no residual.
            step: Index of the policy call of each sample (B,) int64.
            previous: Second return value of one call earlier (B, A); not read where
                ``step`` is 0.

        Returns:
            The actions by name, each (B,) float32, and the smoothed pre-activations
            (B, A) to pass to the next call.
        """
        xp = array_namespace(raw)
        unsmoothed = raw + self.residual_at(step)
        s = self.spec.smoothing
        moved = (step > 0)[:, None]
        if self.spec.stop is not None:
            columns = xp.arange(raw.shape[1], device=device(raw))
            moved = moved & (columns != self.spec.stop)[None, :]
        smoothed = xp.where(moved, s * previous + (1 - s) * unsmoothed, unsmoothed)
        actions = {a.name: a.activate(smoothed[:, i]) for i, a in enumerate(self.spec.actions)}
        return self._ended(actions, step), smoothed

    def _ended(self, actions: dict[str, Array], step: Array) -> dict[str, Array]:
        """Make the step the last of samples that stop; none does before its first evaluation."""
        if not self.spec.stopping:
            return actions
        assert self.ending is not None  # a family that cannot stop has no such schedule
        name, last = self.ending
        xp, stop = array_namespace(step), actions[STOP]
        stops = (stop > STOP_ABOVE) & (step >= self.calls - self.steps)
        chosen = actions[name]
        return {**actions, name: xp.where(stops, xp.full_like(chosen, last), chosen)}


def _check_stop(action: ActionSpec) -> None:
    """Refuse a `stop` that a static schedule could end a sample with."""
    static = action.static
    if action.activation != "sigmoid" or action.scale != 1:
        raise ValueError(f"{STOP}: got another activation, expected sigmoid of scale 1")
    if not isinstance(static, Constant) or not 0 < static.value < STOP_ABOVE:
        raise ValueError(f"{STOP}.static: expected a constant above 0 and below {STOP_ABOVE}")


def _at(static: StaticSchedule, tokens: int) -> StaticSchedule:
    return static.at(tokens) if isinstance(static, Shifted) else static
