"""Static schedules of a solver's times, as the schedulers of diffusers space them.

Both have a time for every evaluation and then the time at which the last step ends.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from adagen_rt.types import Spec


class DynamicShift(Spec):
    """A shift of noise that depends on how many patches the latents have; as diffusers names it.

    Attributes:
        base_shift: Logarithm of the shift (or the shift) at `base_image_seq_len` patches.
        max_shift: That at `max_image_seq_len` patches; between and beyond them it is linear.
        base_image_seq_len: A number of patches.
        max_image_seq_len: A larger one.
        time_shift_type: Whether the line is the shift's logarithm or the shift itself.
    """

    base_shift: float = Field(ge=-100, le=100)
    max_shift: float = Field(ge=-100, le=100)
    base_image_seq_len: int = Field(ge=1, le=1 << 24)
    max_image_seq_len: int = Field(ge=1, le=1 << 24)
    time_shift_type: Literal["exponential", "linear"] = "exponential"

    @model_validator(mode="after")
    def _has_a_slope(self) -> DynamicShift:
        if self.max_image_seq_len <= self.base_image_seq_len:
            low, high = self.base_image_seq_len, self.max_image_seq_len
            raise ValueError(f"max_image_seq_len: got {high}, expected above {low}, the base's")
        return self

    def shift(self, tokens: int) -> float:
        """Give the shift of latents of so many patches."""
        low, high = self.base_image_seq_len, self.max_image_seq_len
        slope = (self.max_shift - self.base_shift) / (high - low)
        mu = self.base_shift + (tokens - low) * slope
        return math.exp(mu) if self.time_shift_type == "exponential" else mu


class Shifted(Spec):
    """Times of a flow, 0 at noise and 1 at data, whose noise is shifted (arXiv 2403.03206, eq. 23).

    The noise scale falls linearly from ``first`` to ``last``, then becomes
    ``shift sigma / (1 + (shift - 1) sigma)``. The last step ends at data.

    Attributes:
        shift: Above 1, more steps are spent near noise.
        first: Noise scale of the first evaluation, before the shift.
        last: That of the last evaluation; None for `first` over the number of steps.
        dynamic: What `shift` is at other sizes of images; None for the same.
    """

    newer: ClassVar[tuple[str, ...]] = ("dynamic",)
    kind: Literal["shifted"] = "shifted"
    shift: float = Field(gt=0, le=1e6)
    first: float = Field(1.0, gt=0, le=1)
    last: float | None = Field(None, gt=0, le=1)
    dynamic: DynamicShift | None = None

    def at(self, tokens: int) -> Shifted:
        """Copy it for latents of so many patches.

        Raises:
            ValueError: There is no such shift.
            OverflowError: The shift is too large a number.
        """
        if self.dynamic is None:
            return self
        # Made anew, so that a shift out of its range is found.
        return Shifted.model_validate({**dict(self), "shift": self.dynamic.shift(tokens)})

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
        end = self.end
        if self.spacing == "leading" and not self.spare:
            # An offset beyond the last interval: the next step of the grid is one of the training.
            end = max(end, (self.offset - self.count // steps + 1) / self.count)
        return np.concatenate([times, np.full(calls - steps, end)])

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
