"""Sections of an engine's manifest: its graphs and their tensors, its images and their sizes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from adagen_rt.extent import MAX_SIDE, Extent, ExtentField
from adagen_rt.types import Spec

#: A file that lies directly in the engine folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Dtype = Literal["float32", "float16", "bfloat16", "int8"]


class TensorSpec(Spec):
    """One input or output of a graph; a named axis is dynamic."""

    name: str
    dtype: Literal["float32", "float16", "bfloat16", "int64"]
    shape: tuple[int | str, ...]


class GraphSpec(Spec):
    """One ONNX graph.

    Attributes:
        file: The ONNX file in the engine folder.
        inputs: Tensors that it reads.
        outputs: Tensors that it writes.
        parameters: Number of weights.
        flops: Floating-point operations for one row of the batch, if known; of all scales
            together where calls differ in size (VAR).
        error: Largest difference from the PyTorch module over the standard deviation
            of its output, as measured at export.
    """

    file: FileName
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: int = Field(ge=0)
    flops: int | None = Field(None, ge=0)
    error: float | None = Field(None, ge=0)


class ImageSpec(Spec):
    """Output of the decoder: pixels of ``size``, values within ``pixel_range``."""

    size: ExtentField
    channels: Literal[1, 3]
    pixel_range: tuple[float, float] = (0.0, 1.0)

    def __str__(self) -> str:
        return f"images of {self.size} in {self.channels} channels"


class SizesSpec(Spec):
    """Sizes of images that an engine makes besides its own.

    Attributes:
        multiple: Both sides are multiples of it.
        largest: Neither side is larger.
    """

    multiple: int = Field(ge=1, le=MAX_SIDE)
    largest: int = Field(ge=1, le=MAX_SIDE)

    def fits(self, size: Extent) -> bool:
        """Whether images can have a size."""
        return max(size) <= self.largest and all(side % self.multiple == 0 for side in size)

    def __str__(self) -> str:
        return f"sides that are multiples of {self.multiple}, at most {self.largest}"
