"""MaskGIT: start from masked tokens, keep the most confident ones, mask the rest again.

The step rule is AdaGen's (arXiv 2603.06993) reading of MaskGIT (arXiv 2202.04200).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from array_api_compat import array_namespace, device

from adagen_rt.families.maskgit.spec import MaskGITSpec
from adagen_rt.ops import Ops
from adagen_rt.sampling.rule import NoiseSource, State, StepRule
from adagen_rt.types import Array, Arrays


@dataclass(frozen=True)
class MaskGITState(State):
    """Tokens of each slot.

    Attributes:
        tokens: The backbone's next input, masked positions included (B, N) int64.
        sampled: The last sample of every position, none masked (B, N) int64.
    """

    tokens: Array
    sampled: Array


class MaskGITRule(StepRule[MaskGITState]):
    """The MaskGIT step rule.

    Args:
        spec: Sizes.
        steps: Backbone evaluations.
        ops: Implementation of the numeric steps.
        noise: Gives the noise of a step from the seeds and the step of each slot.
    """

    def __init__(self, spec: MaskGITSpec, steps: int, ops: Ops, noise: NoiseSource) -> None:
        self.spec = spec
        self.steps = steps
        self.ops = ops
        self.noise = noise

    def start(self, blank: State) -> MaskGITState:
        """Mask all tokens."""
        xp = array_namespace(blank.seeds)
        shape = (blank.seeds.shape[0], self.spec.tokens)
        masked = xp.full(shape, self.spec.mask_id, dtype=xp.int64, device=device(blank.seeds))
        return MaskGITState(**vars(blank), tokens=masked, sampled=xp.zeros_like(masked))

    def observe(self, state: MaskGITState) -> Arrays:
        """Return ``tokens`` (R, N), and the condition."""
        condition = state.condition
        return {**condition.repeat({"tokens": state.tokens}), **condition.arrays}

    def advance(self, state: MaskGITState, outputs: Arrays, actions: Arrays) -> MaskGITState:
        """Sample every masked token, then mask the least confident ones again."""
        xp = array_namespace(state.tokens)
        sampled, confidence = self.ops.guided_sample(
            *state.condition.split(outputs["logits"]),
            actions["guidance_scale"],
            actions["sampling_temperature"],
            actions["confidence_temperature"],
            state.tokens,
            self.spec.mask_id,
            self.noise(state.seeds, state.step),
        )
        tokens = self.ops.remask(sampled, confidence, actions["mask_ratio"], self.spec.mask_id)
        return replace(
            state,
            tokens=tokens,
            sampled=sampled,
            step=state.step + 1,
            failed=state.failed | xp.any(xp.isnan(confidence), axis=1),
        )

    def finished(self, state: MaskGITState) -> Array:
        """Tell which slots have done their last step or have no token left to unmask."""
        xp = array_namespace(state.tokens)
        unmasked = ~xp.any(state.tokens == self.spec.mask_id, axis=1)
        return super().finished(state) | unmasked

    def latents(self, state: MaskGITState) -> Arrays:
        """Return ``tokens`` (B, N): the last sample, which has no masked position."""
        return {"tokens": state.sampled}
