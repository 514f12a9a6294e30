"""VAR in a manifest: sizes and graphs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from adagen_rt.engine.contracts import GraphContract, contract
from adagen_rt.engine.family import FamilySpec
from adagen_rt.extent import Extent, ExtentField


class VARSpec(FamilySpec):
    """Next-scale prediction over maps of tokens.

    Attributes:
        scales: Size of the token map at every step.
        vocabulary: Codebook entries.
        code_width: Channels of a codebook vector, and of ``f_hat``.
        layers: Transformer blocks, each with keys and values in the cache.
        width: Transformer width.
        phi: Number of the shared refinement convolution of each scale.
    """

    actions: ClassVar[tuple[str, ...]] = (
        "guidance_scale",
        "top_k",
        "top_p",
        "sampling_temperature",
    )
    seen: ClassVar[str] = "features positions"
    mixes_steps: ClassVar[bool] = False  # the size of a step's inputs depends on its scale
    family: Literal["var"] = "var"
    scales: tuple[ExtentField, ...] = Field(min_length=1, max_length=64)
    vocabulary: int = Field(ge=2, le=1 << 20)
    code_width: int = Field(ge=1)
    layers: int = Field(ge=1)
    width: int = Field(ge=1)
    phi: tuple[int, ...]

    @model_validator(mode="after")
    def _one_phi_per_scale(self) -> VARSpec:
        if len(self.phi) != len(self.scales):
            raise ValueError(f"phi has {len(self.phi)} entries, scales {len(self.scales)}")
        return self

    @property
    def bounds(self) -> list[int]:
        """First position of each scale, and the end of the last."""
        return [0, *accumulate(scale.area for scale in self.scales)]

    @property
    def feature_map(self) -> Extent:
        """See `FamilySpec`; features of every scale are resized to the last."""
        return self.scales[-1]

    def check_steps(self, steps: int) -> str | None:
        """Expect as many steps as scales."""
        own = len(self.scales)
        return None if steps == own else f"{own}: one for each scale of this engine"

    def sizes_of_tensors(self) -> dict[str, tuple[int | None, ...]]:
        """Give the sizes of logits, cache and maps."""
        maps = (None, self.code_width, *self.scales[-1])
        return {
            "backbone.logits": (None, None, self.vocabulary),
            "backbone.new_cache": (None, self.layers, 2, None, self.width),
            "refine.next_f_hat": maps,
            "decoder.latents": maps,
        }

    def own_contracts(self) -> dict[str, GraphContract]:
        """List the graphs: condition, backbone, refinement of the maps, decoder."""
        return {
            "condition": contract("", "modulation head_modulation start", axes={"modulation": 1}),
            "backbone": contract(
                "inputs positions cache", "logits features new_cache", axes={"new_cache": 3}
            ),
            "refine": contract(
                "tokens positions next_positions phi f_hat", "next_f_hat next_inputs"
            ),
            "decoder": contract("latents", "image"),
        }

    def counts_per_image(self, steps: int, rows: int = 2) -> dict[str, int]:
        """Count each graph once, or once for each of a sample's rows: all scales are in it."""
        return {"backbone": rows, "condition": rows, "policy": 1, "refine": 1, "decoder": 1}

    def sizes(self, rows: int) -> Iterator[dict[str, int]]:
        """List one set of shapes per scale."""
        counts = [scale.area for scale in self.scales]
        # No scale follows the last; the inputs computed for it are not used.
        following = [*counts[1:], counts[-1]]
        for tokens, before, ahead in zip(counts, self.bounds, following, strict=False):
            yield {"rows": rows, "tokens": tokens, "past": before, "next_tokens": ahead}
