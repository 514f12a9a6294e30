"""MaskGIT in a manifest: sizes and graphs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from adagen_rt.engine.contracts import GraphContract, contract
from adagen_rt.engine.family import FamilySpec


class MaskGITSpec(FamilySpec):
    """Masked token generation: ``tokens`` positions of ``vocabulary`` entries."""

    actions: ClassVar[tuple[str, ...]] = (
        *("mask_ratio", "confidence_temperature", "sampling_temperature", "guidance_scale"),
    )
    family: Literal["maskgit"] = "maskgit"
    tokens: int = Field(ge=1, le=65536)
    vocabulary: int = Field(ge=2, le=1 << 20)

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
