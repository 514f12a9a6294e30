"""Static schedules of a solver's times, as the schedulers of diffusers space them.

Both have a time for every evaluation and then the time at which the last step ends.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from adagen_rt.types import Spec


class Shifted(Spec):
    """Times of a flow, 0 at noise and 1 at data, whose noise is shifted (arXiv 2403.03206, eq. 23).

    The noise scale falls linearly from ``first`` to ``last``, then becomes
    ``shift sigma / (1 + (shift - 1) sigma)``. The last step ends at data.

    Attributes:
        shift: Above 1, more steps are spent near noise.
        first: Noise scale of the first evaluation, before the shift.
        last: That of the last evaluation; None for `first` over the number of steps.
    """

    kind: Literal["shifted"] = "shifted"
    shift: float = Field(gt=0, le=1e6)
    first: float = Field(1.0, gt=0, le=1)
    last: float | None = Field(None, gt=0, le=1)

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        last = self.first / steps if self.last is None else self.last
        sigma = np.linspace(self.first, last, steps)
        sigma = self.shift * sigma / (1 + (self.shift - 1) * sigma)
        return np.concatenate([1 - sigma, np.ones(calls - steps)])


class Spaced(Spec):
    """Times of a discrete diffusion, 1 at noise and 0 at data (arXiv 2305.08891, table 2).

    Time (n + 1) / ``count`` is step n of the training.

    Attributes:
        spacing: How the steps of the training are chosen.
        count: Number of steps of the training.
        offset: Added to every step, where the spacing is ``leading``.
        spare: Whether the grid has a step more than is evaluated, its last.
        end: Time at which the last step ends.
    """

    kind: Literal["spaced"] = "spaced"
    spacing: Literal["leading", "trailing", "linspace"]
    count: int = Field(1000, ge=2, le=1 << 20)
    offset: int = Field(0, ge=0, le=1 << 20)
    spare: bool = False
    end: float = Field(0.0, ge=0, lt=1)

    def values(self, steps: int, calls: int) -> np.ndarray:
        """Value at every policy call, float64 (calls,)."""
        places = self._places(steps, steps + self.spare)[:steps]
        times = np.minimum((places + 1) / self.count, 1)
        return np.concatenate([times, np.full(calls - steps, self.end)])

    def _places(self, steps: int, points: int) -> np.ndarray:
        """Steps of the training, float64, the noisiest first."""
        if self.spacing == "leading":
            leading: np.ndarray = np.arange(points)[::-1] * float(self.count // points)
            return leading + self.offset
        if self.spacing == "linspace":
            grid: np.ndarray = np.linspace(0, self.count - 1, points).round()
            return grid[::-1]
        places: np.ndarray = np.round(self.count - np.arange(steps) * (self.count / steps))
        return places - 1
