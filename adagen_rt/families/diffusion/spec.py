"""DiT and SiT in a manifest: sizes, process, solver and graphs."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from adagen_rt.condition import Guidance
from adagen_rt.engine.contracts import GraphContract, contract
from adagen_rt.engine.family import FamilySpec
from adagen_rt.extent import ExtentField
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS, Solver
from adagen_rt.ops.solver import Process

#: ``dit``: variance-preserving diffusion, ``sit``: flow along the linear path.
PROCESSES: dict[str, Process] = {"dit": "vp", "sit": "linear"}


class DiffusionSpec(FamilySpec):
    """Latent diffusion (``dit``: variance-preserving) or flow (``sit``: linear path).

    Attributes:
        channels: Latent channels; guidance acts on the first three.
        size: Height and width of the latents.
        tokens: Rows of the feature map that the policy reads.
        width: Width of that feature map.
        solver: Name of the solver, one of `SOLVERS`; manifests leave the default out.
    """

    actions: ClassVar[tuple[str, ...]] = ("time", "guidance_scale")
    # Guidance multiplies the small difference of two predictions, and their errors: at a limit of
    # 0.015 the FID of fashion-dit rises by a third.
    prediction_limit: ClassVar[float] = 0.0035
    generation_limit: ClassVar[float] = 0.05
    guidances: ClassVar[tuple[Guidance, ...]] = ("classifier-free", "embedded", "none")
    family: Literal["dit", "sit"]
    channels: int = Field(ge=1, le=1024)
    size: ExtentField
    tokens: int = Field(ge=1, le=65536)
    width: int = Field(ge=1, le=65536)
    solver: str = DEFAULT_SOLVER

    @field_validator("solver")
    @classmethod
    def _find_solver(cls, value: str) -> str:
        if value not in SOLVERS:
            raise ValueError(f"got {value!r:.80}, expected one of {', '.join(SOLVERS)}")
        return value

    @model_serializer(mode="wrap")
    def _leave_default_out(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Earlier versions, with one solver, refuse the key.
        content: dict[str, Any] = handler(self)
        if self.solver == DEFAULT_SOLVER:
            content.pop("solver", None)
        return content

    @property
    def process(self) -> Process:
        """Diffusion process of the family."""
        return PROCESSES[self.family]

    @property
    def solver_row(self) -> Solver:
        """Row of the solver."""
        return SOLVERS[self.solver]

    def calls(self, steps: int) -> int:
        """Return one more than the evaluations, as the first time is chosen before them."""
        return steps + 1

    def check_steps(self, steps: int) -> str | None:
        """Expect whole steps of the solver."""
        each = self.solver_row.evaluations
        if steps % each == 0:
            return None
        number = "an even number" if each == 2 else f"a multiple of {each}"
        return f"{number}: the solver takes {'two' if each == 2 else each} evaluations a step"

    def sizes_of_tensors(self) -> dict[str, tuple[int | None, ...]]:
        """Give the sizes of latents and features."""
        latents = (None, self.channels, *self.size)
        return {
            "backbone.x": latents,
            "backbone.prediction": latents,
            "backbone.features": (None, self.tokens, self.width),
            "decoder.latents": latents,
        }

    def own_contracts(self) -> dict[str, GraphContract]:
        """List the graphs: backbone and decoder of latents."""
        return {
            "backbone": contract("x t", "prediction features"),
            "decoder": contract("latents", "image"),
        }
