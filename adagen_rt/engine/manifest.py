"""What an engine's ``manifest.json`` may say, parsed once into frozen models."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adagen_rt.engine.contracts import graph_faults
from adagen_rt.engine.schedule import ScheduleSpec

#: Format written by this version; a reader refuses newer ones.
FORMAT: Final = 1

#: A file that lies directly in the engine folder.
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


Dtype = Literal["float32", "float16", "bfloat16", "int8"]


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _FamilySpec(_Spec):
    def calls(self, steps: int) -> int:
        """Policy calls of a generation of so many evaluations."""
        return steps


class MaskGITSpec(_FamilySpec):
    """Masked token generation: ``tokens`` positions of ``vocabulary`` entries."""

    family: Literal["maskgit"] = "maskgit"
    tokens: int = Field(ge=1, le=65536)
    vocabulary: int = Field(ge=2, le=1 << 20)

    @property
    def mask_id(self) -> int:
        """Token id of a masked position."""
        return self.vocabulary


class DiffusionSpec(_FamilySpec):
    """Latent diffusion (``dit``: variance-preserving) or flow (``sit``: linear path).

    Attributes:
        channels: Latent channels; guidance acts on the first three.
        size: Latent height and width.
        tokens: Rows of the feature map that the policy reads.
        width: Width of that feature map.
    """

    family: Literal["dit", "sit"]
    channels: int = Field(ge=1, le=1024)
    size: int = Field(ge=1, le=4096)
    tokens: int = Field(ge=1, le=65536)
    width: int = Field(ge=1, le=65536)

    def calls(self, steps: int) -> int:
        """One more than the evaluations: the first time is chosen before any of them."""
        return steps + 1


class VARSpec(_FamilySpec):
    """Next-scale prediction over maps of ``scales`` x ``scales`` tokens.

    Attributes:
        scales: Side of the token map at every step.
        vocabulary: Codebook entries.
        code_width: Channels of a codebook vector, and of ``f_hat``.
        layers: Transformer blocks, each with keys and values in the cache.
        width: Transformer width.
        phi: Which shared refinement convolution each scale uses.
    """

    family: Literal["var"] = "var"
    scales: tuple[int, ...] = Field(min_length=1, max_length=64)
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


FamilySpec = Annotated[MaskGITSpec | DiffusionSpec | VARSpec, Field(discriminator="family")]


class TensorSpec(_Spec):
    """One input or output of a graph; a named axis is dynamic."""

    name: str
    dtype: Literal["float32", "float16", "bfloat16", "int64"]
    shape: tuple[int | str, ...]


class GraphSpec(_Spec):
    """One ONNX graph.

    Attributes:
        file: The ONNX file in the engine folder.
        inputs: Tensors that it takes.
        outputs: Tensors that it gives.
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


class ImageSpec(_Spec):
    """What the decoder gives: ``size`` x ``size`` pixels, values within ``pixel_range``."""

    size: int = Field(ge=1, le=16384)
    channels: Literal[1, 3]
    pixel_range: tuple[float, float] = (0.0, 1.0)

    def __str__(self) -> str:
        return f"images of {self.size} x {self.size} in {self.channels} channels"


class Manifest(_Spec):
    """The whole of ``manifest.json``.

    Attributes:
        format: Version of this schema.
        name: The engine's name.
        family: The step rule and its sizes.
        class_count: Labels are 0 to ``class_count - 1``; ``class_count`` is the null class.
        class_names: Names of the classes, or empty.
        image: What the decoder gives.
        schedule: The action space and the default steps.
        refinement_std: Standard deviation of the noise on the policy's raw output with which
            refinement makes its candidates; an engine with a ``critic`` has it.
        graphs: ``backbone``, ``decoder``, what else the family needs, and perhaps ``policy``,
            ``fidelity_policy``, ``critic`` and ``reward``.
        dtype: Precision of the weights.
        versions: Versions of the software that wrote the engine.
        files: SHA-256 of every other file in the folder.
    """

    format: Literal[1] = FORMAT
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    family: FamilySpec
    class_count: int = Field(ge=1, le=1 << 20)
    class_names: tuple[str, ...] = ()
    image: ImageSpec
    schedule: ScheduleSpec
    refinement_std: float | None = Field(None, gt=0, le=100)
    graphs: dict[str, GraphSpec]
    dtype: Dtype
    versions: dict[str, str] = {}
    files: dict[FileName, Sha256]

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        names = {
            key: ([t.name for t in graph.inputs], [t.name for t in graph.outputs])
            for key, graph in self.graphs.items()
        }
        faults = list(graph_faults(self.family.family, names))
        for name, graph in self.graphs.items():
            if graph.file not in self.files:
                faults.append(f"graphs.{name}.file {graph.file!r} has no entry in files")
        if "critic" in self.graphs and self.refinement_std is None:
            faults.append("refinement_std: missing; an engine with a critic has one")
        if self.class_names and len(self.class_names) != self.class_count:
            faults.append(
                f"class_names has {len(self.class_names)} entries, class_count is "
                f"{self.class_count}"
            )
        if faults:
            raise ValueError("; ".join(faults))
        return self
