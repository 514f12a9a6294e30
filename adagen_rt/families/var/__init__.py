"""VAR (arXiv 2404.02905): predict whole token maps, coarse to fine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adagen_rt.engine.family import Family
from adagen_rt.families.var.spec import VARSpec
from adagen_rt.types import Session

if TYPE_CHECKING:
    from adagen_rt.export.model import FamilyModel
    from adagen_rt.ops import Ops
    from adagen_rt.program.program import Program
    from adagen_rt.program.setting import Setting
    from adagen_rt.sampling.rule import NoiseSource, StepRule


class VARFamily(Family):
    """VAR."""

    Spec = VARSpec

    def rule(
        self,
        spec: VARSpec,
        steps: int,
        ops: Ops,
        noise: NoiseSource,
        sessions: Mapping[str, Session],
    ) -> StepRule[Any]:
        """See `Family`; a step is a scale."""
        from adagen_rt.families.var.rule import VARRule

        return VARRule(spec, ops, noise, sessions["refine"].run)

    def program(self, setting: Setting) -> Program:
        """See `Family`."""
        from adagen_rt.families.var.program import var_program

        return var_program(setting)

    def model(self) -> FamilyModel:
        """See `Family`."""
        from adagen_rt.families.var.model import MODEL

        return MODEL


FAMILY = VARFamily()
