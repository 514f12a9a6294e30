"""A whole family outside of the package: noise moves towards what the backbone predicts."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from array_api_compat import array_namespace
from pydantic import Field

from adagen_rt.engine.contracts import contract
from adagen_rt.engine.family import Family, FamilySpec
from adagen_rt.sampling.rule import State, StepRule
from adagen_rt.types import Array


class ToySpec(FamilySpec):
    """Latents of `channels` x `size` x `size`."""

    actions: ClassVar[tuple[str, ...]] = ("rate", "guidance_scale")
    family: Literal["toy"] = "toy"
    channels: int = Field(ge=1)
    size: int = Field(ge=1)

    def own_contracts(self):
        return {
            "backbone": contract("x", "prediction features"),
            "decoder": contract("latents", "image"),
        }


@dataclass(frozen=True)
class ToyState(State):
    x: Array


class ToyRule(StepRule[ToyState]):
    def __init__(self, spec, steps, ops):
        self.spec, self.steps, self.ops = spec, steps, ops

    def start(self, blank):
        shape = (self.spec.channels, self.spec.size, self.spec.size)
        return ToyState(**vars(blank), x=self.ops.normal(blank.seeds, shape))

    def observe(self, state):
        return {**state.condition.repeat({"x": state.x}), **state.condition.arrays}

    def advance(self, state, outputs, actions):
        xp = array_namespace(state.x)
        cond, null = state.condition.split(outputs["prediction"])
        rate, guidance = (
            xp.reshape(actions[name], (-1, 1, 1, 1)) for name in ("rate", "guidance_scale")
        )
        x = state.x + rate * (cond + guidance * (cond - null) - state.x)
        failed = state.failed | ~xp.all(xp.isfinite(x), axis=(1, 2, 3))
        return replace(state, x=x, step=state.step + 1, failed=failed)

    def latents(self, state):
        return {"latents": state.x}


class ToyFamily(Family):
    Spec = ToySpec

    def rule(self, spec, steps, ops, noise, sessions):
        return ToyRule(spec, steps, ops)


FAMILY = ToyFamily()
