"""The ops on NumPy arrays, by fused C++ kernels; ``reference`` documents each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adagen_rt.errors import InputError
from adagen_rt.native import load_kernels
from adagen_rt.ops import structs
from adagen_rt.ops.noise import Injected, Noise, Philox
from adagen_rt.ops.solver import GUIDED_CHANNELS, Process, Solver

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Shape = tuple[int, ...]

_FLOAT32, _INT64 = np.dtype(np.float32), np.dtype(np.int64)

MAX_THREADS = 256
_kernels = structs.check_sizes(load_kernels())


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
        held = _Held()
        sampled = np.empty((batch, count), np.int64)
        confidence = np.empty((batch, count), np.float32)
        op = structs.GuidedSample(
            _logits(held, cond, null, guidance, shape),
            held.floats("temperature", temperature, (batch,)),
            held.floats("confidence_temperature", confidence_temperature, (batch,)),
            held.integers("tokens", tokens, (batch, count)),
            mask_id,
            _noise(held, noise, shape, confidences=True),
            sampled.ctypes.data,
            confidence.ctypes.data,
        )
        _kernels.launch("guided_sample", bytes(op), self.threads)
        return sampled, confidence

    def remask(
        self, sampled: Integers, confidence: Floats, mask_ratio: Floats, mask_id: int
    ) -> Integers:
        """Mask the least confident tokens again (MaskGIT)."""
        shape = _shape("confidence", confidence, 2)
        held = _Held()
        masked = np.empty(shape, np.int64)
        op = structs.Remask(
            held.integers("sampled", sampled, shape),
            held.floats("confidence", confidence, shape),
            held.floats("mask_ratio", mask_ratio, shape[:1]),
            mask_id,
            *shape,
            1,
            masked.ctypes.data,
        )
        _kernels.launch("remask", bytes(op), self.threads)
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
        held = _Held()
        sampled = np.empty((batch, count), np.int64)
        op = structs.SampleTopKTopP(
            _logits(held, cond, null, guidance, shape),
            held.floats("top_k", top_k, (batch,)),
            held.floats("top_p", top_p, (batch,)),
            held.floats("temperature", temperature, (batch,)),
            _noise(held, noise, shape, confidences=False),
            sampled.ctypes.data,
        )
        _kernels.launch("sample_top_k_top_p", bytes(op), self.threads)
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
        solver: Solver,
        guided: int = GUIDED_CHANNELS,
    ) -> tuple[Floats, Floats, Floats]:
        """Advance latents by one evaluation of a solver (DiT, SiT)."""
        batch, channels, height, width = shape = _shape("x", x, 4)
        held = _Held()
        results = (np.empty(shape, np.float32), np.empty(shape, np.float32))
        data = np.empty(shape, np.float32)
        op = structs.SolverUpdate(
            held.floats("x", x, shape),
            held.floats("anchor", anchor, shape),
            held.floats("anchor_data", anchor_data, shape),
            held.floats("cond", cond, shape),
            held.floats("null", null, shape),
            held.floats("guidance", guidance, (batch,)),
            held.floats("times", times, (batch, 3)),
            held.integers("phase", phase, (batch,)),
            structs.PROCESSES[process.kind],
            solver.code,
            structs.DTYPES["float32"],
            guided,
            structs.log_alpha(process),
            batch,
            channels,
            height * width,
            1,
            *(result.ctypes.data for result in (*results, data)),
        )
        _kernels.launch("solver_update", bytes(op), self.threads)
        return (*results, data)

    def normal(self, seeds: Integers, shape: Shape) -> Floats:
        """Draw the initial latents."""
        (batch,) = _shape("seeds", seeds, 1)
        held = _Held()
        values = np.empty((batch, *shape), np.float32)
        op = structs.Normal(
            held.integers("seeds", seeds, (batch,)), batch, math.prod(shape), 1, values.ctypes.data
        )
        _kernels.launch("normal", bytes(op), self.threads)
        return values


class _Held:
    """Checks the arrays that a struct points to, and keeps them until its op has run.

    An array of another layout is copied; only this object holds the copy.
    """

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []

    def floats(self, name: str, value: Any, shape: Shape) -> int:
        """Return the address of a float32 array of this shape."""
        return self._hold(name, value, shape, _FLOAT32)

    def integers(self, name: str, value: Any, shape: Shape) -> int:
        """Return the address of an int64 array of this shape."""
        return self._hold(name, value, shape, _INT64)

    def _hold(self, name: str, value: Any, shape: Shape, dtype: np.dtype[Any]) -> int:
        if not isinstance(value, np.ndarray):
            got, expected = type(value).__name__, f"a NumPy array, {dtype} of shape {shape}"
            raise InputError(name, got, expected)
        if value.dtype != dtype or value.shape != shape:
            got, expected = f"{value.dtype} of shape {value.shape}", f"{dtype} of shape {shape}"
            raise InputError(name, got, expected)
        array = np.ascontiguousarray(value)
        self._arrays.append(array)
        return array.ctypes.data


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


def _logits(
    held: _Held, cond: Floats, null: Floats, guidance: Floats, shape: tuple[int, int, int]
) -> structs.Logits:
    """The logits (B, N, V) of both halves, and the guidance that combines them."""
    return structs.Logits(
        held.floats("cond", cond, shape),
        held.floats("null", null, shape),
        held.floats("guidance", guidance, shape[:1]),
        1.0,
        structs.DTYPES["float32"],
        *shape,
    )


def _noise(held: _Held, noise: Noise, shape: Shape, *, confidences: bool) -> structs.BatchNoise:
    """The streams to draw from, or the noise that was injected for logits (B, N, V)."""
    if isinstance(noise, Philox):
        seeds = held.integers("noise.seeds", noise.seeds, shape[:1])
        return structs.BatchNoise(seeds, held.integers("noise.steps", noise.steps, shape[:1]))
    if not isinstance(noise, Injected):
        raise InputError("noise", type(noise).__name__, "Philox or Injected")
    token = held.floats("noise.token", noise.token, shape)
    if not confidences:
        return structs.BatchNoise(token=token)
    confidence = held.floats("noise.confidence", noise.confidence, shape[:2])
    return structs.BatchNoise(token=token, confidence=confidence)
