"""Map from a policy's output to the parameters of one generation step.

The rule is AdaGen's (arXiv 2603.06993): the network's output is added to a residual
that stands for the hand-made schedule, smoothed over the steps, and squashed into
the action's range. A zero output reproduces the static schedule exactly, so a static
schedule is a policy too. Policies of AdaNAT (arXiv 2409.00342) may do without the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from array_api_compat import array_namespace, device
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from adagen_rt.engine.solver_times import Shifted, Spaced
from adagen_rt.errors import InputError
from adagen_rt.types import Array, Spec

#: Static schedules stay this far from the ends of the step interval, as published.
STEP_MARGIN = 1e-3
#: Values are kept this far from the ends of their range before the inverse activation, as
#: published for the logit; a static guidance of 0 would be minus infinity.
INVERSE_MARGIN = 1e-6


class Cosine(Spec):
    """Falls from 1 to 0 as ``cos(r pi / 2)`` (MaskGIT's mask ratio)."""

    kind: Literal["cosine"] = "cosine"

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        return np.cos(_progress(steps, calls) * np.pi / 2)


class Decay(Spec):
    """Falls linearly from ``scale`` to 0."""

    kind: Literal["decay"] = "decay"
    scale: float = Field(1.0, gt=0)

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        return self.scale * (1 - _progress(steps, calls))


class Ramp(Spec):
    """Rises linearly from 0 to ``scale``, which the last step does not quite reach."""

    kind: Literal["ramp"] = "ramp"
    scale: float = Field(1.0, gt=0)

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        return self.scale * (np.arange(calls) + STEP_MARGIN) / steps


class Linear(Spec):
    """Runs linearly from ``start`` at the first policy call to ``stop`` at the last."""

    kind: Literal["linear"] = "linear"
    start: float
    stop: float

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        return np.linspace(self.start, self.stop, calls)


class Constant(Spec):
    """Has the same ``value`` at every step."""

    kind: Literal["constant"] = "constant"
    value: float

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        return np.full(calls, self.value)


StaticSchedule = Annotated[
    Cosine | Decay | Ramp | Linear | Constant | Shifted | Spaced, Field(discriminator="kind")
]


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


class ScheduleSpec(Spec):
    """The action space of an engine and its default number of steps.

    Attributes:
        steps: Backbone evaluations per image that the policy was trained for.
        smoothing: Weight of the previous step's smoothed action, 0 (none) to below 1.
        residual: Whether a policy's output is added to the static schedule. AdaNAT's policies for
            ImageNet choose by themselves: their output alone goes through the activation.
        actions: Columns of the policy's output, in order.
        tuned: The best static schedule that a search found, one entry per action; it serves
            comparisons, and no policy starts from it.
    """

    steps: int = Field(ge=1, le=1000)
    smoothing: float = Field(0.0, ge=0, lt=1)
    residual: bool = True
    actions: tuple[ActionSpec, ...]
    tuned: tuple[StaticSchedule, ...] | None = None

    @model_validator(mode="after")
    def _one_tuned_schedule_an_action(self) -> ScheduleSpec:
        if self.tuned is not None and len(self.tuned) != len(self.actions):
            raise ValueError(f"tuned: got {len(self.tuned)}, expected one an action")
        return self

    @model_serializer(mode="wrap")
    def _leave_default_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Earlier versions refuse the key.
        content: dict[str, Any] = handler(self)
        if self.residual:
            content.pop("residual", None)
        return content

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


class Schedule:
    """A schedule at a fixed number of steps.

    Args:
        spec: The action space.
        steps: Backbone evaluations per image.
        calls: Number of policy calls: ``steps``, or one more where the family needs a
            decision before its first evaluation.
    """

    def __init__(self, spec: ScheduleSpec, steps: int, calls: int) -> None:
        self.spec = spec
        self.steps = steps
        self.calls = calls
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
        smoothed = xp.where((step > 0)[:, None], s * previous + (1 - s) * unsmoothed, unsmoothed)
        actions = {a.name: a.activate(smoothed[:, i]) for i, a in enumerate(self.spec.actions)}
        return actions, smoothed


def _at(static: StaticSchedule, tokens: int) -> StaticSchedule:
    return static.at(tokens) if isinstance(static, Shifted) else static


def _progress(steps: int, calls: int) -> np.ndarray:
    """Return the fraction of the generation done after each step, below 1 by the margin."""
    return (np.arange(calls) + 1 - STEP_MARGIN) / steps
