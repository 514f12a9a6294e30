"""The Gumbel noise a sampling op is given: drawn from a seed, or injected by a test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from array_api_compat import array_namespace

from adagen_rt.ops.philox import Purpose, uniform, words
from adagen_rt.types import Array


def gumbel(uniform: Array) -> Array:
    """Turn uniform numbers in (0, 1) into standard Gumbel noise, ``-log(-log(u))``."""
    xp = array_namespace(uniform)
    return -xp.log(-xp.log(uniform))


def normals(seeds: Array, steps: Array, purpose: Purpose, count: int) -> Array:
    """Standard normal noise of every sample, by the Box-Muller transform.

    Args:
        seeds: (B,) int64 in [0, 2**63).
        steps: (B,) int64 in [0, 2**32), the step each sample is at.
        purpose: Use of the noise.
        count: Numbers per sample; a larger count begins with the same numbers.

    Returns:
        (B, count) float32.
    """
    xp = array_namespace(seeds)
    pairs = (count + 1) // 2
    random = uniform(words(seeds, steps, purpose, 2 * pairs))
    radius = xp.sqrt(-2.0 * xp.log(random[:, 0::2]))
    angle = 2.0 * math.pi * random[:, 1::2]
    both = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=-1)
    return xp.reshape(both, (seeds.shape[0], -1))[:, :count]


@dataclass(frozen=True, eq=False)
class Philox:
    """Noise that each sample's seed and step determine.

    Attributes:
        seeds: (B,) int64 in [0, 2**63).
        steps: (B,) int64, the step (or scale) each sample is at; samples may differ.
    """

    seeds: Array
    steps: Array

    def token_gumbel(self, shape: tuple[int, ...]) -> Array:
        """Return (B, N, V) float32 noise to choose tokens with."""
        return self._gumbel(Purpose.TOKEN, shape)

    def confidence_gumbel(self, shape: tuple[int, ...]) -> Array:
        """Return (B, N) float32 noise to disturb confidences with."""
        return self._gumbel(Purpose.CONFIDENCE, shape)

    def _gumbel(self, purpose: Purpose, shape: tuple[int, ...]) -> Array:
        xp = array_namespace(self.seeds)
        flat = words(self.seeds, self.steps, purpose, math.prod(shape[1:]))
        return xp.reshape(gumbel(uniform(flat)), shape)


@dataclass(frozen=True, eq=False)
class Injected:
    """Noise given as arrays, for tests against recorded numbers.

    Attributes:
        token: (B, N, V) float32 standard Gumbel noise.
        confidence: (B, N) float32 standard Gumbel noise; only MaskGIT needs it.
    """

    token: Array
    confidence: Array | None = None

    def token_gumbel(self, shape: tuple[int, ...]) -> Array:
        """Return the token noise, which must have the shape asked for."""
        if tuple(self.token.shape) != tuple(shape):
            raise ValueError(f"token noise has shape {tuple(self.token.shape)}, not {shape}")
        return self.token

    def confidence_gumbel(self, shape: tuple[int, ...]) -> Array:
        """Return the confidence noise, which must have the shape asked for."""
        if self.confidence is None or tuple(self.confidence.shape) != tuple(shape):
            got = None if self.confidence is None else tuple(self.confidence.shape)
            raise ValueError(f"confidence noise has shape {got}, not {shape}")
        return self.confidence


Noise: TypeAlias = Philox | Injected
