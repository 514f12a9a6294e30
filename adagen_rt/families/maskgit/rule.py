"""MaskGIT: start from masked tokens, keep the most confident ones, mask the rest again.

The step rule is AdaGen's (arXiv 2603.06993) reading of MaskGIT (arXiv 2202.04200).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from array_api_compat import array_namespace, device

from adagen_rt.engine.manifest import MaskGITSpec
from adagen_rt.ops import Ops
from adagen_rt.sampling.rule import (
    Array,
    Arrays,
    NoiseSource,
    State,
    StepRule,
    paired_rows,
    split_rows,
)


@dataclass(frozen=True)
class MaskGITState(State):
    """Tokens of each slot.

    Attributes:
        tokens: What the backbone sees next, masked positions included (B, N) int64.
        sampled: The last sample of every position, none masked (B, N) int64.
    """

    tokens: Array
    sampled: Array


class MaskGITRule(StepRule[MaskGITState]):
    """The MaskGIT step rule.

    Args:
        spec: Sizes.
        class_count: The null class's label.
        steps: Backbone evaluations.
        ops: Where the numeric steps run.
        noise: Gives the noise of a step from the seeds and the step of each slot.
    """

    actions = ("mask_ratio", "confidence_temperature", "sampling_temperature", "guidance_scale")

    def __init__(
        self, spec: MaskGITSpec, class_count: int, steps: int, ops: Ops, noise: NoiseSource
    ) -> None:
        self.spec = spec
        self.class_count = class_count
        self.steps = steps
        self.ops = ops
        self.noise = noise

    def start(self, blank: State) -> MaskGITState:
        """All tokens masked."""
        xp = array_namespace(blank.labels)
        shape = (len(blank), self.spec.tokens)
        masked = xp.full(shape, self.spec.mask_id, dtype=xp.int64, device=device(blank.labels))
        return MaskGITState(**vars(blank), tokens=masked, sampled=xp.zeros_like(masked))

    def observe(self, state: MaskGITState) -> Arrays:
        """``tokens`` (2B, N) and ``labels`` (2B,)."""
        return paired_rows(state, {"tokens": state.tokens}, self.class_count)

    def advance(self, state: MaskGITState, outputs: Arrays, actions: Arrays) -> MaskGITState:
        """Sample every masked token, then mask the least confident ones again."""
        xp = array_namespace(state.tokens)
        sampled, confidence = self.ops.guided_sample(
            *split_rows(outputs["logits"]),
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
        """The last step is done, or no token is left to unmask."""
        xp = array_namespace(state.tokens)
        unmasked = ~xp.any(state.tokens == self.spec.mask_id, axis=1)
        return super().finished(state) | unmasked

    def latents(self, state: MaskGITState) -> Arrays:
        """``tokens`` (B, N): the last sample, which has no masked position."""
        return {"tokens": state.sampled}
