"""MaskGIT in a manifest: sizes and graphs."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from adagen_rt.engine.contracts import GraphContract, contract
from adagen_rt.engine.family import FamilySpec
from adagen_rt.engine.schedule import Ending
from adagen_rt.extent import Extent, ExtentField


class MaskGITSpec(FamilySpec):
    """Masked token generation.

    Attributes:
        tokens: Image tokens.
        vocabulary: Codebook entries.
        grid: Height and width of the map of tokens; None for a square one.
        patch: Side of the square of tokens that share a feature. Manifests leave 1 out.
    """

    newer: ClassVar[tuple[str, ...]] = ("patch",)
    actions: ClassVar[tuple[str, ...]] = (
        *("mask_ratio", "confidence_temperature", "sampling_temperature", "guidance_scale"),
    )
    family: Literal["maskgit"] = "maskgit"
    tokens: int = Field(ge=1, le=65536)
    vocabulary: int = Field(ge=2, le=1 << 20)
    grid: ExtentField | None = None
    patch: int = Field(1, ge=1, le=256)

    @field_validator("grid")
    @classmethod
    def _hold_all_tokens(cls, value: Extent | None, info: ValidationInfo) -> Extent | None:
        if value is not None and value.area != info.data.get("tokens"):
            raise ValueError(f"got {value}, expected as many places as there are tokens")
        return value

    @field_validator("patch")
    @classmethod
    def _divide_the_map(cls, value: int, info: ValidationInfo) -> int:
        tokens = info.data.get("tokens", value**2)
        grid = info.data.get("grid") or Extent.of(math.isqrt(tokens))
        if any(side % value for side in grid):
            raise ValueError(f"got {value}, expected a divisor of the sides of {grid.words} tokens")
        return value

    @property
    def feature_map(self) -> Extent:
        """See `FamilySpec`; a feature a patch of tokens."""
        return (self.grid or Extent.of(math.isqrt(self.tokens))).over(self.patch)

    @property
    def ending(self) -> Ending:
        """See `FamilySpec`: nothing is masked again."""
        return "mask_ratio", 0.0

    @property
    def mask_id(self) -> int:
        """Token id of a masked position."""
        return self.vocabulary

    def sizes_of_tensors(self) -> dict[str, tuple[int | None, ...]]:
        """Give the sizes of tokens and logits."""
        return {
            "backbone.tokens": (None, self.tokens),
            "backbone.logits": (None, self.tokens, self.vocabulary),
            "decoder.tokens": (None, self.tokens),
        }

    def own_contracts(self) -> dict[str, GraphContract]:
        """List the graphs: backbone and decoder of tokens."""
        return {
            "backbone": contract("tokens", "logits features"),
            "decoder": contract("tokens", "image"),
        }
