"""DiT, SiT and their like in a manifest: sizes, process, solver and graphs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from adagen_rt.condition import Guidance
from adagen_rt.engine.contracts import GraphContract, contract
from adagen_rt.engine.family import FamilySpec
from adagen_rt.engine.schedule import Ending
from adagen_rt.extent import Extent, ExtentField
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS, Solver
from adagen_rt.ops.solver import GUIDED_CHANNELS, MAX_DEGREE, PROCESSES, Kind, Process

#: ``dit``: variance-preserving diffusion, ``sit``: flow along the linear path; and the same with
#: transformers of others.
KINDS: dict[str, Kind] = {"dit": "vp", "sit": "linear", "diffusion": "vp", "flow": "linear"}
#: DiT's and SiT's times stay this far from the ends of [0, 1] and from each other, as published.
TIME_MARGIN = 0.01
#: Where a noise schedule is looked at; near data too, where one that rises has no noise scale.
TIMES = (0.0, 1e-6, *(i / 64 for i in range(1, 65)))


class DiffusionSpec(FamilySpec):
    """Latent diffusion (``dit``: variance-preserving) or flow (``sit``: linear path).

    ``diffusion`` and ``flow`` are the same for transformers that are not DiT's or SiT's. Manifests
    leave the defaults out.

    Attributes:
        channels: Latent channels.
        size: Height and width of the latents.
        tokens: Rows of the feature map that the policy reads.
        width: Width of that feature map.
        solver: Name of the solver, one of `SOLVERS`.
        guided_channels: Channels that guidance acts on, the first ones.
        time_margin: Distance of times from the ends and from each other. Without one, a schedule
            reaches the ends.
        log_alpha: Coefficients of t, t^2, ... of the logarithm of the signal scale, of a
            variance-preserving process other than DiT's.
    """

    newer: ClassVar[tuple[str, ...]] = ("solver", "guided_channels", "time_margin", "log_alpha")
    actions: ClassVar[tuple[str, ...]] = ("time", "guidance_scale")
    # Guidance multiplies the small difference of two predictions, and their errors: at a limit of
    # 0.015 the FID of fashion-dit rises by a third.
    prediction_limit: ClassVar[float] = 0.0035
    generation_limit: ClassVar[float] = 0.05
    guidances: ClassVar[tuple[Guidance, ...]] = ("classifier-free", "embedded", "none")
    sizeable: ClassVar[tuple[str, ...]] = ("backbone.x", "decoder.latents")
    reuses: ClassVar[bool] = True
    family: Literal["dit", "sit", "diffusion", "flow"]
    channels: int = Field(ge=1, le=1024)
    size: ExtentField
    tokens: int = Field(ge=1, le=65536)
    width: int = Field(ge=1, le=65536)
    solver: str = DEFAULT_SOLVER
    guided_channels: int = Field(GUIDED_CHANNELS, ge=0, le=1024)
    time_margin: float = Field(TIME_MARGIN, ge=0, le=0.1)
    log_alpha: tuple[Annotated[float, Field(allow_inf_nan=False)], ...] | None = Field(
        None, min_length=1, max_length=MAX_DEGREE
    )

    @field_validator("solver")
    @classmethod
    def _find_solver(cls, value: str) -> str:
        if value not in SOLVERS:
            raise ValueError(f"got {value!r:.80}, expected one of {', '.join(SOLVERS)}")
        return value

    @model_validator(mode="after")
    def _noise_falls(self) -> DiffusionSpec:
        if self.log_alpha is None:
            return self
        if KINDS[self.family] == "linear":
            raise ValueError(f"log_alpha: got a list, expected none of the family {self.family}")
        ends = [sum(c * t**i for i, c in enumerate(self.log_alpha, 1)) for t in TIMES]
        if any(after >= before for before, after in pairwise(ends)):
            raise ValueError("log_alpha: got coefficients whose sum does not fall from t = 0 to 1")
        return self

    @property
    def feature_map(self) -> Extent:
        """See `FamilySpec`; a feature a square patch."""
        return self.size.over(self.patch)

    @property
    def patch(self) -> int:
        """Side of a patch."""
        return max(math.isqrt(self.size.area // self.tokens), 1)

    @property
    def patches(self) -> int:
        """See `FamilySpec`."""
        return self.tokens

    def at(self, own: Extent, size: Extent) -> DiffusionSpec:
        """See `FamilySpec`; latents are as many times smaller as the engine's own."""
        factor = own.height // self.size.height
        latents = size.over(factor)
        tokens = latents.area // self.patch**2
        return self.model_copy(update={"size": latents, "tokens": tokens})

    def sizes(self, rows: int) -> Iterator[dict[str, int]]:
        """See `FamilySpec`; of several sizes of images, the engine's own."""
        yield {"rows": rows, "height": self.size.height, "width": self.size.width}

    @property
    def process(self) -> Process:
        """How data turn into noise."""
        kind = KINDS[self.family]
        return PROCESSES[kind] if self.log_alpha is None else Process(kind, self.log_alpha)

    @property
    def ending(self) -> Ending:
        """See `FamilySpec`: the time at which there is data."""
        return "time", 1.0 if self.process.kind == "linear" else 0.0

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
