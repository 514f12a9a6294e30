"""VAR: predict whole token maps, coarse to fine.

The step rule is AdaGen's (arXiv 2603.06993) reading of VAR (arXiv 2404.02905).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from array_api_compat import array_namespace, device

from adagen_rt.families.var.spec import VARSpec
from adagen_rt.ops import Ops
from adagen_rt.sampling.rule import NoiseSource, State, StepRule
from adagen_rt.types import Array, Arrays, Run


@dataclass(frozen=True)
class VARState(State):
    """Maps of each slot; all slots of a state are at the same scale.

    Attributes:
        f_hat: Sum of the refined scales so far (B, code width, H, W) float32.
        inputs: The backbone's next input (B, n, code width) float32.
        tokens: Tokens of the scales so far (B, P) int64.
        cache: Keys and values (positions, L, 2, R, width), filled up to P. It is allocated at
            the start for all scales but the last, which no later scale attends to. It is the only
            field that is written in place, and empty after the last scale.
    """

    f_hat: Array
    inputs: Array
    tokens: Array
    cache: Array = field(metadata={"axis": 3, "paired": True})


class VARRule(StepRule[VARState]):
    """The VAR step rule; a step is a scale.

    Args:
        spec: Sizes.
        ops: Implementation of the numeric steps.
        noise: Gives the noise of a step from the seeds and the step of each slot.
        refine: The graph that adds a scale to ``f_hat`` and prepares the next one's inputs.
    """

    def __init__(self, spec: VARSpec, ops: Ops, noise: NoiseSource, refine: Run) -> None:
        self.spec = spec
        self.steps = len(spec.scales)
        self.row_axes = spec.own_contracts()["backbone"].axes
        self.ops = ops
        self.noise = noise
        self.refine = refine
        self._bounds = spec.bounds
        # The cache of an ended state, reused by the next state: the first write to new memory can
        # take longer than computing the values.
        self._spare: Array | None = None

    def start(self, blank: State) -> VARState:
        """Begin with an empty map."""
        xp = array_namespace(blank.seeds)
        spec, count, where = self.spec, blank.seeds.shape[0], device(blank.seeds)
        shape = (count, spec.code_width, *spec.scales[-1])
        zeros = xp.zeros(shape, dtype=xp.float32, device=where)
        return VARState(
            **vars(blank),
            f_hat=zeros,
            inputs=xp.zeros((count, 1, spec.code_width), dtype=xp.float32, device=where),
            tokens=xp.zeros((count, 0), dtype=xp.int64, device=where),
            cache=self._empty_cache(zeros, blank.condition.copies),
        )

    def observe(self, state: VARState) -> Arrays:
        """Return this scale's inputs, and the keys and values of the scales before it."""
        return {
            **state.condition.repeat({"inputs": state.inputs}),
            "positions": self._positions(state),
            "cache": state.cache[: state.tokens.shape[1], ...],
            **state.condition.arrays,
        }

    def features(self, state: VARState, outputs: Arrays) -> Arrays:
        """Return the last block's output (B, n, width), and its ``positions``."""
        return {**super().features(state, outputs), "positions": self._positions(state)}

    def advance(self, state: VARState, outputs: Arrays, actions: Arrays) -> VARState:
        """Sample one scale's tokens and add them to the map."""
        xp = array_namespace(state.tokens)
        scale = self._scale(state)
        # Guidance grows with the scale: 0 at the first, the chosen value at the last.
        growth = scale / max(self.steps - 1, 1)
        sampled = self.ops.sample_top_k_top_p(
            *state.condition.split(outputs["logits"]),
            actions["guidance_scale"] * growth,
            actions["top_k"],
            actions["top_p"],
            actions["sampling_temperature"],
            self.noise(state.seeds, state.step),
        )
        tokens = xp.clip(sampled, 0, None)
        refined = self.refine(self._refinement(state, tokens))
        return replace(
            state,
            f_hat=xp.asarray(refined["next_f_hat"], copy=True),
            inputs=xp.asarray(refined["next_inputs"], copy=True),
            tokens=xp.concat([state.tokens, tokens], axis=1),
            cache=self._remember(state.cache, scale, outputs["new_cache"]),
            step=state.step + 1,
            failed=state.failed | xp.any(sampled < 0, axis=1),
        )

    def latents(self, state: VARState) -> Arrays:
        """Return ``latents`` (B, code width, H, W): the sum of the scales so far."""
        return {"latents": state.f_hat}

    def _empty_cache(self, like: Array, copies: int) -> Array:
        """Return an uninitialised cache for the slots of an array (B, ...), a row a copy."""
        xp, spec = array_namespace(like), self.spec
        shape = (self._bounds[-2], spec.layers, 2, copies * like.shape[0], spec.width)
        spare, self._spare = self._spare, None
        if spare is not None and spare.shape == shape:
            return spare
        del spare  # frees it before another is allocated
        return xp.empty(shape, dtype=like.dtype, device=device(like))

    def _remember(self, cache: Array, scale: int, new: Array) -> Array:
        """Write a scale's keys and values to the cache; after the last, return an empty cache."""
        if scale == self.steps - 1:
            self._spare = cache
            return cache[:0, ...]
        cache[self._bounds[scale] : self._bounds[scale + 1], ...] = new
        return cache

    def _scale(self, state: VARState) -> int:
        return int(state.step[0])

    def _positions(self, state: VARState, ahead: int = 0) -> Array:
        xp = array_namespace(state.tokens)
        # No scale follows the last; the inputs computed for it are not used.
        scale = min(self._scale(state) + ahead, self.steps - 1)
        bounds = self._bounds[scale : scale + 2]
        return xp.arange(*bounds, dtype=xp.int64, device=device(state.tokens))

    def _refinement(self, state: VARState, tokens: Array) -> Arrays:
        xp = array_namespace(tokens)
        phi = self.spec.phi[self._scale(state)]
        return {
            "tokens": tokens,
            "positions": self._positions(state),
            "next_positions": self._positions(state, ahead=1),
            "phi": xp.asarray(phi, dtype=xp.int64, device=device(tokens)),
            "f_hat": state.f_hat,
        }
