"""MaskGIT (arXiv 2202.04200): start from masked tokens, keep the confident ones, mask the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adagen_rt.condition import ConditionSpec
from adagen_rt.engine.family import Family
from adagen_rt.families.maskgit.spec import MaskGITSpec
from adagen_rt.types import Run, Session

if TYPE_CHECKING:
    from adagen_rt.export.model import FamilyModel
    from adagen_rt.ops import Ops
    from adagen_rt.program.program import Program
    from adagen_rt.program.setting import Setting
    from adagen_rt.sampling.rule import NoiseSource, StepRule


class MaskGITFamily(Family):
    """MaskGIT."""

    Spec = MaskGITSpec

    def rule(
        self,
        spec: MaskGITSpec,
        steps: int,
        ops: Ops,
        noise: NoiseSource,
        sessions: Mapping[str, Session],
    ) -> StepRule[Any]:
        """See `Family`."""
        from adagen_rt.families.maskgit.rule import MaskGITRule

        return MaskGITRule(spec, steps, ops, noise)

    def backbone(self, spec: MaskGITSpec, condition: ConditionSpec, run: Run) -> Run:
        """Remember the null row of the first step."""
        from adagen_rt.families.maskgit.null_once import NullOnce

        known = condition.copies == 2 and condition.common_null
        return NullOnce(run, spec.mask_id) if known else run

    def program(self, setting: Setting) -> Program:
        """See `Family`."""
        from adagen_rt.families.maskgit.program import maskgit_program

        return maskgit_program(setting)

    def model(self) -> FamilyModel:
        """See `Family`."""
        from adagen_rt.families.maskgit.model import MODEL

        return MODEL


FAMILY = MaskGITFamily()
