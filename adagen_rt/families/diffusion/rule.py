"""DiT, SiT and their like: a solver whose times and guidance the policy chooses.

The step rule is AdaGen's (arXiv 2603.06993); the backbones are DiT (arXiv 2212.09748) and
SiT (arXiv 2401.08740); ``solvers`` has the solvers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from array_api_compat import array_namespace, device

from adagen_rt.engine.schedule import STOP
from adagen_rt.families.diffusion.spec import DiffusionSpec
from adagen_rt.ops import Ops
from adagen_rt.sampling.rule import State, StepRule
from adagen_rt.types import Array, Arrays

#: Without a margin, times this close to an end are the end, which no sigmoid reaches.
SNAP = 2e-6


@dataclass(frozen=True)
class DiffusionState(State):
    """Latents of each slot and its place in the solver step.

    Attributes:
        x: Latents at ``time`` (B, C, H, W) float32.
        anchor: Latents at ``start_time``, the start of the current solver step.
        anchor_data: The clean latents predicted at ``start_time``.
        time: Time of the next evaluation (B,) float32.
        start_time: Time at the start of the current solver step (B,) float32; of a multistep
            solver, time of the evaluation before.
        guidance: The guidance scale chosen last (B,) float32, which a backbone with embedded
            guidance reads at the next evaluation.
        ended: Whether a policy that may stop has reached the end (B,) bool.
    """

    x: Array
    anchor: Array
    anchor_data: Array
    time: Array
    start_time: Array
    guidance: Array
    ended: Array


class DiffusionRule(StepRule[DiffusionState]):
    """The step rule of DiT and SiT: one solver step takes one evaluation or more.

    Args:
        spec: Sizes, process and solver.
        steps: Backbone evaluations, a multiple of the solver's evaluations per step.
        ops: Implementation of the numeric steps.
    """

    def __init__(self, spec: DiffusionSpec, steps: int, ops: Ops) -> None:
        self.spec = spec
        self.steps = steps
        self.ops = ops
        self.process = spec.process
        self.solver = spec.solver_row

    def start(self, blank: State) -> DiffusionState:
        """Draw standard normal latents."""
        xp = array_namespace(blank.seeds)
        spec = self.spec
        x = self.ops.normal(blank.seeds, (spec.channels, *spec.size))
        time = xp.zeros(x.shape[0], dtype=xp.float32, device=device(x))
        zeros = xp.zeros_like(x)
        return DiffusionState(
            **vars(blank),
            x=x,
            anchor=zeros,
            anchor_data=zeros,
            time=time,
            start_time=time,
            guidance=time,
            ended=xp.zeros_like(blank.failed),
        )

    def prologue(self, state: DiffusionState) -> Arrays:
        """Return zero features, because nothing has been evaluated yet."""
        xp = array_namespace(state.x)
        shape = (state.x.shape[0], self.spec.tokens, self.spec.width)
        return {"features": xp.zeros(shape, dtype=xp.float32, device=device(state.x))}

    def begin(self, state: DiffusionState, actions: Arrays) -> DiffusionState:
        """Set the first time; of guidance, only an embedded one has an evaluation to act on."""
        scale = actions["guidance_scale"]
        return replace(state, time=self._inside(actions["time"]), guidance=scale)

    def observe(self, state: DiffusionState) -> Arrays:
        """Return ``x`` (R, C, H, W), ``t`` (R,), the condition, and an embedded ``guidance``."""
        inputs = {"x": state.x, "t": state.time}
        if state.condition.guidance == "embedded":
            inputs["guidance"] = state.guidance
        return {**state.condition.repeat(inputs), **state.condition.arrays}

    def moment(self, state: DiffusionState) -> Array:
        """See `StepRule`."""
        return state.time

    def blank_outputs(self, state: DiffusionState) -> Arrays:
        """See `StepRule`."""
        xp, (features,) = array_namespace(state.x), self.prologue(state).values()
        outputs = {"prediction": xp.zeros_like(state.x), "features": features}
        return state.condition.repeat(outputs)

    def advance(self, state: DiffusionState, outputs: Arrays, actions: Arrays) -> DiffusionState:
        """Apply one evaluation of a solver step, which ends in the step's middle or at its end."""
        xp = array_namespace(state.x)
        time = self._after(state.time, actions["time"])
        phase, start, middle = self._place(state, time)
        x, anchor, anchor_data = self.ops.solver_update(
            state.x,
            state.anchor,
            state.anchor_data,
            *state.condition.split(outputs["prediction"]),
            actions["guidance_scale"],
            xp.stack([start, middle, time], axis=1),
            phase,
            self.process,
            self.solver,
            self.spec.guided_channels,
        )
        return replace(
            state,
            x=x,
            anchor=anchor,
            anchor_data=anchor_data,
            time=time,
            start_time=state.time if self.solver.multistep else start,
            guidance=actions["guidance_scale"],
            ended=self._at_end(time) if STOP in actions else state.ended,
            step=state.step + 1,
            failed=state.failed | ~xp.all(xp.isfinite(x), axis=(1, 2, 3)),
        )

    def finished(self, state: DiffusionState) -> Array:
        """Tell which slots have done their last step or reached the end."""
        return super().finished(state) | state.ended

    def latents(self, state: DiffusionState) -> Arrays:
        """Return ``latents`` (B, C, H, W): the result, or the clean latents predicted so far."""
        xp = array_namespace(state.x)
        done = self.finished(state)[:, None, None, None]
        return {"latents": xp.where(done, state.x, state.anchor_data)}

    def _place(self, state: DiffusionState, time: Array) -> tuple[Array, Array, Array]:
        """Return phase, start and middle of the solver step that goes on to ``time``."""
        xp = array_namespace(time)
        if self.solver.multistep:
            return xp.minimum(state.step, xp.ones_like(state.step)), state.time, state.start_time
        phase = state.step % self.solver.evaluations
        start = xp.where(phase == 0, state.time, state.start_time)
        return phase, start, xp.where(phase == 0, time, state.time)

    def _after(self, time: Array, chosen: Array) -> Array:
        """Return the chosen time, moved to at least one margin after ``time``."""
        xp, margin = array_namespace(time), self.spec.time_margin
        if self.process.kind == "vp":
            return self._inside(xp.minimum(chosen, time - margin))
        return self._inside(xp.maximum(chosen, time + margin))

    def _at_end(self, time: Array) -> Array:
        """Tell at which times there is nothing left to go (B,) bool."""
        xp, (_, end) = array_namespace(time), self.spec.ending
        return time == self._inside(xp.full_like(time, end))

    def _inside(self, time: Array) -> Array:
        """Clamp times: DiT's fall to the margin, SiT's rise to one margin below 1."""
        xp, margin = array_namespace(time), self.spec.time_margin
        if margin == 0:
            late = xp.where(time > 1 - SNAP, xp.ones_like(time), time)
            return xp.where(time < SNAP, xp.zeros_like(time), late)
        if self.process.kind == "vp":
            return xp.clip(time, margin, None)
        return xp.clip(time, None, 1 - margin)
