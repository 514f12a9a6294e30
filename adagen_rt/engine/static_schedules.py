"""Static schedules: what an action is at each policy call, without a policy."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from adagen_rt.engine.solver_times import Shifted, Spaced
from adagen_rt.types import Spec

#: Static schedules stay this far from the ends of the step interval, as published.
STEP_MARGIN = 1e-3


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


def _progress(steps: int, calls: int) -> np.ndarray:
    """Return the fraction of the generation done after each step, below 1 by the margin."""
    return (np.arange(calls) + 1 - STEP_MARGIN) / steps
