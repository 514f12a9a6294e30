"""The ops on NumPy arrays, by fused C++ kernels; ``reference`` documents each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from adagen_rt import _kernels
from adagen_rt.errors import InputError
from adagen_rt.ops.noise import Injected, Noise, Philox
from adagen_rt.ops.solver import Process

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Shape = tuple[int, ...]

_Number = TypeVar("_Number", np.float32, np.int64)

MAX_THREADS = 256


@dataclass(frozen=True)
class CpuOps:
    """Ops on NumPy arrays; satisfies ``adagen_rt.ops.Ops``.

    Inputs are float32 and int64 arrays with the shapes that ``reference`` gives; one of
    another layout is copied, one of another shape or dtype is an ``InputError``. Results do
    not depend on ``threads``.

    Attributes:
        threads: The most threads a call may use, its own included.
    """

    threads: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.threads, int) or not 1 <= self.threads <= MAX_THREADS:
            raise InputError("threads", self.threads, f"an integer from 1 to {MAX_THREADS}")

    def guided_sample(
        self,
        cond: Floats,
        null: Floats,
        guidance: Floats,
        temperature: Floats,
        confidence_temperature: Floats,
        tokens: Integers,
        mask_id: int,
        noise: Noise,
    ) -> tuple[Integers, Floats]:
        """Sample the masked tokens and say how confident each is (MaskGIT)."""
        batch, count, _ = shape = _logits_shape(cond)
        sampled = np.empty((batch, count), np.int64)
        confidence = np.empty((batch, count), np.float32)
        drawn = _noise(noise, shape)
        _kernels.guided_sample(
            _floats("cond", cond, shape),
            _floats("null", null, shape),
            _floats("guidance", guidance, (batch,)),
            _floats("temperature", temperature, (batch,)),
            _floats("confidence_temperature", confidence_temperature, (batch,)),
            _integers("tokens", tokens, (batch, count)),
            mask_id,
            *drawn,
            _confidence_noise(noise, (batch, count)),
            sampled,
            confidence,
            self.threads,
        )
        return sampled, confidence

    def remask(
        self, sampled: Integers, confidence: Floats, mask_ratio: Floats, mask_id: int
    ) -> Integers:
        """Mask the least confident tokens again (MaskGIT)."""
        shape = _shape("confidence", confidence, 2)
        masked = np.empty(shape, np.int64)
        _kernels.remask(
            _integers("sampled", sampled, shape),
            _floats("confidence", confidence, shape),
            _floats("mask_ratio", mask_ratio, shape[:1]),
            mask_id,
            masked,
            self.threads,
        )
        return masked

    def sample_top_k_top_p(
        self,
        cond: Floats,
        null: Floats,
        guidance: Floats,
        top_k: Floats,
        top_p: Floats,
        temperature: Floats,
        noise: Noise,
    ) -> Integers:
        """Sample tokens from the truncated distribution (VAR)."""
        batch, count, _ = shape = _logits_shape(cond)
        sampled = np.empty((batch, count), np.int64)
        _kernels.sample_top_k_top_p(
            _floats("cond", cond, shape),
            _floats("null", null, shape),
            _floats("guidance", guidance, (batch,)),
            _floats("top_k", top_k, (batch,)),
            _floats("top_p", top_p, (batch,)),
            _floats("temperature", temperature, (batch,)),
            *_noise(noise, shape),
            sampled,
            self.threads,
        )
        return sampled

    def solver_update(
        self,
        x: Floats,
        anchor: Floats,
        anchor_data: Floats,
        cond: Floats,
        null: Floats,
        guidance: Floats,
        times: Floats,
        phase: Integers,
        process: Process,
    ) -> tuple[Floats, Floats, Floats]:
        """Advance latents by one evaluation of the second-order solver (DiT, SiT)."""
        if process not in ("vp", "linear"):
            raise InputError("process", process, "'vp' or 'linear'")
        shape = _shape("x", x, 4)
        results = (np.empty(shape, np.float32), np.empty(shape, np.float32))
        data = np.empty(shape, np.float32)
        _kernels.solver_update(
            _floats("x", x, shape),
            _floats("anchor", anchor, shape),
            _floats("anchor_data", anchor_data, shape),
            _floats("cond", cond, shape),
            _floats("null", null, shape),
            _floats("guidance", guidance, shape[:1]),
            _floats("times", times, (shape[0], 3)),
            _integers("phase", phase, shape[:1]),
            process == "linear",
            *results,
            data,
            self.threads,
        )
        return (*results, data)

    def normal(self, seeds: Integers, shape: Shape) -> Floats:
        """Draw the initial latents."""
        seeds = _integers("seeds", seeds, _shape("seeds", seeds, 1))
        values = np.empty((seeds.shape[0], *shape), np.float32)
        _kernels.normal(seeds, values, self.threads)
        return values


def _array(name: str, value: Any, shape: Shape, dtype: type[_Number]) -> NDArray[_Number]:
    """Return ``value`` in C order if it has this shape and dtype; else raise."""
    expected = f"{np.dtype(dtype)} of shape {shape}"
    if not isinstance(value, np.ndarray):
        raise InputError(name, type(value).__name__, f"a NumPy array, {expected}")
    if value.dtype != dtype or value.shape != shape:
        raise InputError(name, f"{value.dtype} of shape {value.shape}", expected)
    return np.ascontiguousarray(value)


def _floats(name: str, value: Any, shape: Shape) -> Floats:
    return _array(name, value, shape, np.float32)


def _integers(name: str, value: Any, shape: Shape) -> Integers:
    return _array(name, value, shape, np.int64)


def _shape(name: str, value: Any, ndim: int) -> Shape:
    if not isinstance(value, np.ndarray) or value.ndim != ndim:
        got = getattr(value, "shape", type(value).__name__)
        raise InputError(name, got, f"a NumPy array with {ndim} axes")
    if ndim > 1 and 0 in value.shape[1:]:
        raise InputError(name, value.shape, "no empty axis after the first")
    return tuple(value.shape)


def _logits_shape(cond: Any) -> tuple[int, int, int]:
    batch, tokens, vocabulary = _shape("cond", cond, 3)
    if vocabulary >= 2**31 - 64:
        raise InputError("cond", vocabulary, "a vocabulary below 2**31")
    return batch, tokens, vocabulary


def _noise(noise: Noise, shape: Shape) -> tuple[Integers | None, Integers | None, Floats | None]:
    """Return (seeds, steps, token Gumbel), of which the kernels use the first two or the last."""
    if isinstance(noise, Injected):
        return None, None, _floats("noise.token", noise.token, shape)
    if not isinstance(noise, Philox):
        raise InputError("noise", type(noise).__name__, "Philox or Injected")
    seeds = _integers("noise.seeds", noise.seeds, shape[:1])
    return seeds, _integers("noise.steps", noise.steps, shape[:1]), None


def _confidence_noise(noise: Noise, shape: Shape) -> Floats | None:
    if isinstance(noise, Philox):
        return None
    return _floats("noise.confidence", noise.confidence, shape)
