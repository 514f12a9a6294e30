"""An engine's graphs put together into loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.backends import Graph
from adagen_rt.engine.manifest import Manifest, MaskGITSpec
from adagen_rt.engine.schedule import Schedule
from adagen_rt.families.maskgit.null_once import NullOnce
from adagen_rt.sampling.loop import Arrays, Fidelity, Loop, Network
from adagen_rt.sampling.refinement import RefinedLoop, Refinement
from adagen_rt.sampling.request import Static
from adagen_rt.sampling.rule import StepRule


@dataclass(frozen=True)
class Assembly:
    """What loops are made of.

    Attributes:
        manifest: The engine's.
        graphs: Its graphs by name.
        trained_calls: How often a policy was asked in training.
    """

    manifest: Manifest
    graphs: Mapping[str, Graph]
    trained_calls: int

    def loop(
        self,
        family: StepRule[Any],
        static: Static = False,
        fidelity: npt.NDArray[np.float32] | None = None,
        refine: int = 1,
    ) -> Loop:
        """A loop under the policy, or under a static schedule.

        Args:
            family: The step rule, at the number of steps that is wanted.
            static: Whether, and which, static schedule is run.
            fidelity: Shares of the fidelity policy by a sample's place (N,), checked.
            refine: Candidates at a policy call, checked.
        """
        spec, calls = self.manifest.schedule, family.calls
        spec = spec.tuned_spec() if static == "tuned" else spec
        adaptive = "policy" in self.graphs and not static
        policy = self._ask("policy", calls) if adaptive else self._ask_nobody
        schedule = Schedule(spec, family.steps, calls)
        loop = Loop(family, schedule, self._backbone, policy)
        if fidelity is not None and fidelity.any():
            loop.fidelity = Fidelity(self._ask("fidelity_policy", calls), fidelity)
        if refine == 1:
            return loop
        std = self.manifest.refinement_std
        assert std is not None  # an engine with a critic has it
        return RefinedLoop.of(loop, Refinement(refine, std, self._ask("critic", calls)))

    @cached_property
    def _backbone(self) -> Callable[[Arrays], Arrays]:
        run, spec = self.graphs["backbone"].run, self.manifest.family
        return NullOnce(run, spec.mask_id) if isinstance(spec, MaskGITSpec) else run

    def _ask(self, name: str, calls: int) -> Network:
        """A policy or critic, asked ``calls`` times an image, at the steps it was trained for."""
        graph, trained = self.graphs[name], self.trained_calls
        output = "value" if name == "critic" else "raw"

        def ask(features: Arrays, call: Any) -> Any:
            return graph.run({**features, "step": call * trained // calls})[output]

        return ask

    def _ask_nobody(self, features: Arrays, call: Any) -> Any:
        """Zeros (B, A): the static schedule."""
        return np.zeros((len(call), len(self.manifest.schedule.actions)), np.float32)
