"""Bodies of OpenAI's images API: what is asked for, and what is answered."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from adagen_rt.errors import InputError
from adagen_rt.sampling.encoding import BEST
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving.http.options import Options

Kind = Literal["png", "webp", "jpeg"]
#: Previews that one stream may have.
MAX_PREVIEWS = 3


class ImagesRequest(Options):
    """Body of ``/v1/images/generations``; other fields are refused.

    What clients send unasked is accepted at the values that change nothing.
    """

    prompt: str | int = Field(
        description="A text; of an engine that takes classes, a class name or number."
    )
    model: str | None = Field(None, description="The engine; may be left out if there is one.")
    n: int | None = Field(None, ge=1, description="Images; 1 unless told otherwise.")
    size: str | None = Field(
        None,
        description="Width first, such as 768x512: the engine's own (auto is the same), or another "
        "that it has.",
    )
    seed: int | None = Field(
        None, ge=0, lt=SEED_LIMIT, description="Of the first image; the others count up."
    )
    response_format: Literal["b64_json"] | None = None
    output_format: Kind | None = Field(None, description="png unless told otherwise.")
    output_compression: int | None = Field(
        None,
        ge=0,
        le=BEST,
        description="Quality of jpeg and webp; at 100, the default, webp loses nothing.",
    )
    stream: bool | None = Field(None, description="Whether to answer with server-sent events.")
    partial_images: int | None = Field(
        None, ge=0, le=MAX_PREVIEWS, description="Previews of steps in a stream."
    )
    user: str | None = Field(None, max_length=256, description="Ignored.")
    safety_identifier: str | None = Field(None, max_length=256, description="Ignored.")
    quality: Literal["auto", "standard"] | None = None
    background: Literal["auto", "opaque"] | None = None
    moderation: Literal["auto", "low"] | None = Field(None, description="There is none.")
    style: None = None
    complexity: None = None
    frame_count: None = None
    frame_duration_ms: None = None
    svg: None = None

    @property
    def kind(self) -> Kind:
        """Format of the images."""
        return self.output_format or "png"

    @property
    def compression(self) -> int:
        """Quality of the images."""
        return BEST if self.output_compression is None else self.output_compression

    def check(self) -> None:
        """Refuse fields that contradict each other.

        Raises:
            InputError: They do.
        """
        if self.kind == "png" and self.compression != BEST:
            raise InputError(
                "output_compression", self.compression, f"{BEST} of png, or webp or jpeg"
            )
        if self.stream and (self.n or 1) > 1:
            raise InputError("n", self.n, "1 in a stream")
        if self.partial_images and not self.stream:
            raise InputError("partial_images", self.partial_images, "0 without stream")


class InputDetails(BaseModel):
    """Tokens of the prompt."""

    image_tokens: int
    text_tokens: int


class Usage(BaseModel):
    """What a request cost.

    Attributes:
        input_tokens: Tokens of the prompts; 0 of a class.
        output_tokens: Backbone rows that were evaluated.
    """

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, tokens: int, rows: int) -> Usage:
        """Count tokens of prompts, and backbone rows."""
        details = InputDetails(image_tokens=0, text_tokens=tokens)
        return cls(
            input_tokens=tokens,
            input_tokens_details=details,
            output_tokens=rows,
            total_tokens=tokens + rows,
        )


class ImageDatum(BaseModel):
    """One image, and what reproduces it."""

    model_config = ConfigDict(extra="allow")

    b64_json: str
    seed: int
    steps: int
    revised_prompt: str | None = Field(None, description="Name of the class that was asked for.")
    label: int | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    cut: str | None = Field(None, description="The part of a prompt that was not read.")


class Shape(BaseModel):
    """What all images of an answer have in common."""

    background: Literal["opaque"] = "opaque"
    output_format: Kind
    size: str


class ImagesResponse(Shape):
    """Answer of ``/v1/images/generations``."""

    created: int
    data: list[ImageDatum]
    usage: Usage


class _Event(Shape):
    b64_json: str
    created_at: int
    quality: Literal["auto"] = "auto"


class PartialImageEvent(_Event):
    """A preview in a stream."""

    type: Literal["image_generation.partial_image"] = "image_generation.partial_image"
    partial_image_index: int
    step: int
    steps: int


class CompletedEvent(_Event):
    """The image, at the end of a stream."""

    model_config = ConfigDict(extra="allow")

    type: Literal["image_generation.completed"] = "image_generation.completed"
    usage: Usage
    seed: int
    steps: int


class Model(BaseModel):
    """An engine, and what it can do."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(BaseModel):
    """The engines that are ready."""

    object: Literal["list"] = "list"
    data: list[Model]
