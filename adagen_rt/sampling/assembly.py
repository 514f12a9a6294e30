"""An engine's graphs put together into loops: at run time, for a server and in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from array_api_compat import array_namespace, device

from adagen_rt.condition import Conditioner
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import Schedule, ScheduleSpec
from adagen_rt.ops import Ops
from adagen_rt.ops.noise import Philox
from adagen_rt.sampling.loop import Fidelity, Loop, Network
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.refinement import RefinedLoop, Refinement
from adagen_rt.sampling.reuse import ReusingLoop
from adagen_rt.sampling.rule import NoiseSource, StepRule
from adagen_rt.types import Array, Arrays, Run, Session


@dataclass(frozen=True)
class Assembly:
    """Parts that loops are made of.

    Attributes:
        manifest: The engine's.
        sessions: Its graphs by name, over arrays of any one namespace and device.
        ops: Implementation of the numeric steps.
        noise: Gives the noise of a step.
    """

    manifest: Manifest
    sessions: Mapping[str, Session]
    ops: Ops
    noise: NoiseSource = Philox
    _rules: dict[int, StepRule[Any]] = field(default_factory=dict, repr=False)

    def loop(
        self,
        params: SamplingParams,
        fidelity: Array | None = None,
        policy: Network | None = None,
    ) -> Loop:
        """Make a loop under the policy, or under a static schedule.

        Args:
            params: Sampling parameters, complete and checked.
            fidelity: Shares of the fidelity policy by a sample's place (N,) float32, where any
                sample follows it.
            policy: Takes the place of the engine's policy.
        """
        if (size := params.extent) is not None:
            other = replace(self, manifest=self.manifest.at(size), _rules={})
            loop = other.loop(replace(params, size=None), fidelity, policy)
            loop.conditioner = self._conditioner  # it remembers contexts, which have no size
            return loop
        assert params.steps is not None  # a checked object has them
        rule, calls = self.rule(params.steps), self.manifest.family.calls(params.steps)
        spec = self.manifest.schedule
        spec = spec.tuned_spec() if params.schedule == "tuned" else spec
        if policy is None:
            adaptive = params.schedule == "policy"
            policy = self._ask("policy", calls) if adaptive else static_policy(spec)
            spec = spec if adaptive else spec.static_spec()
        schedule = self._schedule(spec, rule.steps, calls)
        loop = Loop(rule, schedule, self._conditioner, self._backbone, policy)
        if fidelity is not None:
            loop.fidelity = Fidelity(self._ask("fidelity_policy", calls), fidelity)
        if params.reuse:
            return ReusingLoop.of(loop, params.reuse)
        if params.refine == 1:
            return loop
        std = self.manifest.refinement_std
        assert std is not None  # an engine with a critic has it
        critic = self._ask("critic", calls)
        return RefinedLoop.of(loop, Refinement(params.refine, std, critic))

    def _schedule(self, spec: ScheduleSpec, steps: int, calls: int) -> Schedule:
        return Schedule(spec, steps, calls, self.manifest.family.ending)

    def rule(self, steps: int) -> StepRule[Any]:
        """Return the step rule at a number of steps, always the same object: it may keep memory."""
        if steps not in self._rules:
            plugin, spec = self.manifest.plugin, self.manifest.family
            self._rules[steps] = plugin.rule(spec, steps, self.ops, self.noise, self.sessions)
        return self._rules[steps]

    def under(self, schedule: ScheduleSpec) -> Assembly:
        """Copy it with another schedule; rules are shared."""
        return replace(self, manifest=self.manifest.with_schedule(schedule))

    @cached_property
    def _conditioner(self) -> Conditioner:
        if "condition" not in self.sessions:
            return Conditioner(self.manifest.condition)
        axes = self.manifest.contracts["condition"].axes
        return Conditioner(self.manifest.condition, self.sessions["condition"].run, axes)

    @cached_property
    def _backbone(self) -> Run:
        run = self.sessions["backbone"].run
        manifest = self.manifest
        return manifest.plugin.backbone(manifest.family, manifest.condition, run)

    def _ask(self, name: str, calls: int) -> Network:
        """Return a policy or critic, with ``calls`` calls mapped to the steps of its training."""
        session, trained = self.sessions[name], self.manifest.calls
        (output,) = self.manifest.contracts[name].outputs

        def ask(features: Arrays, call: Array) -> Array:
            answer: Array = session.run({**features, "step": call * trained // calls})[output]
            return answer

        return ask


def static_policy(spec: ScheduleSpec) -> Network:
    """Make a policy whose output is zero (B, A), which is the static schedule."""

    def answer(features: Arrays, call: Array) -> Array:
        xp, shape = array_namespace(call), (call.shape[0], len(spec.actions))
        zeros: Array = xp.zeros(shape, dtype=xp.float32, device=device(call))
        return zeros

    return answer
