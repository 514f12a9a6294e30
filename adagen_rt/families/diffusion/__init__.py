"""DiT (arXiv 2212.09748) and SiT (arXiv 2401.08740): a solver whose times a policy chooses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adagen_rt.engine.family import Family
from adagen_rt.families.diffusion.spec import DiffusionSpec
from adagen_rt.types import Session

if TYPE_CHECKING:
    from adagen_rt.export.model import FamilyModel
    from adagen_rt.ops import Ops
    from adagen_rt.program.program import Program
    from adagen_rt.program.setting import Setting
    from adagen_rt.sampling.rule import NoiseSource, StepRule


class DiffusionFamily(Family):
    """DiT and SiT, which differ only in the process."""

    Spec = DiffusionSpec

    def rule(
        self,
        spec: DiffusionSpec,
        steps: int,
        ops: Ops,
        noise: NoiseSource,
        sessions: Mapping[str, Session],
    ) -> StepRule[Any]:
        """See `Family`."""
        from adagen_rt.families.diffusion.rule import DiffusionRule

        return DiffusionRule(spec, steps, ops)

    def program(self, setting: Setting) -> Program:
        """See `Family`."""
        from adagen_rt.families.diffusion.program import diffusion_program

        return diffusion_program(setting)

    def model(self) -> FamilyModel:
        """See `Family`."""
        from adagen_rt.families.diffusion.model import MODEL

        return MODEL


FAMILY = DiffusionFamily()
