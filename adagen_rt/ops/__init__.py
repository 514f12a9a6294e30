"""The numeric steps of the generators: one meaning each, two implementations.

``reference`` is the specification, written over the array API standard, so that the same
lines run on NumPy arrays and on PyTorch tensors of any device. ``cpu`` runs fused C++ kernels
on NumPy arrays. Both offer the methods of ``Ops``; a family is given one of them:

    MaskGIT(spec, CpuOps(threads=2))
"""

from __future__ import annotations

from typing import Any, Protocol

from adagen_rt.ops.noise import Injected, Noise, Philox
from adagen_rt.ops.solver import GUIDED_CHANNELS, Process, Solver

__all__ = ["Array", "Injected", "Noise", "Ops", "Philox", "Process", "Solver"]


# Each implementation takes arrays of one kind, narrower than the array API's.
Array = Any


class Ops(Protocol):
    """Ops that a family needs; ``adagen_rt.ops.reference`` documents every method."""

    def guided_sample(
        self,
        cond: Array,
        null: Array,
        guidance: Array,
        temperature: Array,
        confidence_temperature: Array,
        tokens: Array,
        mask_id: int,
        noise: Noise,
    ) -> tuple[Array, Array]:
        """Sample the masked tokens and say how confident each is (MaskGIT)."""
        ...

    def remask(self, sampled: Array, confidence: Array, mask_ratio: Array, mask_id: int) -> Array:
        """Mask the least confident tokens again (MaskGIT)."""
        ...

    def sample_top_k_top_p(
        self,
        cond: Array,
        null: Array,
        guidance: Array,
        top_k: Array,
        top_p: Array,
        temperature: Array,
        noise: Noise,
    ) -> Array:
        """Sample tokens from the truncated distribution (VAR)."""
        ...

    def solver_update(
        self,
        x: Array,
        anchor: Array,
        anchor_data: Array,
        cond: Array,
        null: Array,
        guidance: Array,
        times: Array,
        phase: Array,
        process: Process,
        solver: Solver,
        guided: int = GUIDED_CHANNELS,
    ) -> tuple[Array, Array, Array]:
        """Advance latents by one evaluation of a solver (DiT, SiT)."""
        ...

    def normal(self, seeds: Array, shape: tuple[int, ...]) -> Array:
        """Draw the initial latents."""
        ...
