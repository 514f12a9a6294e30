"""Images as OpenAI's images API has them: all at once, or a stream with previews."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.manifest import Manifest
from adagen_rt.extent import Extent
from adagen_rt.serving import Image, Job, Progress
from adagen_rt.serving.batching.job import Pixels
from adagen_rt.serving.http.faults import Fault, openai_error
from adagen_rt.serving.http.openai_bodies import (
    CompletedEvent,
    ImageDatum,
    ImagesRequest,
    ImagesResponse,
    PartialImageEvent,
    Usage,
)
from adagen_rt.serving.http.pictures import as_base64
from adagen_rt.serving.http.streams import event


@dataclass(frozen=True)
class Answers:
    """Makes the answers to a request, in the shape that OpenAI's clients read.

    Attributes:
        manifest: Manifest of the engine that makes the images.
        body: The request.
    """

    manifest: Manifest
    body: ImagesRequest

    def all_at_once(self, images: list[Image]) -> bytes:
        """Write the answer of a request without a stream."""
        answer = ImagesResponse(
            created=int(time.time()),
            data=[self._datum(image) for image in images],
            usage=self._usage(images),
            **self._shape(images[0].pixels),
        )
        return answer.model_dump_json(exclude_none=True).encode()

    def _datum(self, image: Image) -> ImageDatum:
        return ImageDatum(b64_json=self._encode(image.pixels), **self._facts(image))

    def _facts(self, image: Image) -> dict[str, Any]:
        condition, name = self.manifest.condition, None
        if isinstance(condition, ClassLabels) and condition.names:
            name = condition.names[image.label]
        facts = {"seed": image.seed, "steps": image.steps, "revised_prompt": name}
        return {**facts, **image.condition}

    def _shape(self, pixels: Pixels) -> dict[str, Any]:
        size = Extent(*pixels.shape[:2])
        return {"output_format": self.body.kind, "size": size.words}

    def _usage(self, images: list[Image]) -> Usage:
        condition = self.manifest.condition
        tokens = sum(condition.count_tokens(image.condition) for image in images)
        return Usage.of(tokens, sum(image.backbone_rows for image in images))

    def _encode(self, pixels: Any) -> str:
        return as_base64(pixels, self.body.kind, self.body.compression)

    # What follows is the stream's; `streams.Messages` says when each is asked for.

    def queued(self, job: Job) -> str:
        """Tell nothing: the API has no such event."""
        return ""

    def step(self, progress: Progress) -> str:
        """Show a preview, if it is one of those that were asked for."""
        shown = previews(progress.steps, self.body.partial_images or 0)
        if progress.step not in shown:
            return ""
        told = PartialImageEvent(
            b64_json=self._encode(progress.preview),
            created_at=int(time.time()),
            partial_image_index=shown.index(progress.step),
            step=progress.step,
            steps=progress.steps,
            **self._shape(progress.preview),
        )
        return event(told.type, told.model_dump())

    def done(self, image: Image) -> str:
        """Give the image."""
        told = CompletedEvent(
            b64_json=self._encode(image.pixels),
            created_at=int(time.time()),
            usage=self._usage([image]),
            **self._shape(image.pixels),
            **self._facts(image),
        )
        return event(told.type, told.model_dump(exclude_none=True))

    def error(self, fault: Fault) -> str:
        """Tell what went wrong, as the API does in a stream."""
        return event("error", {"type": "error", **openai_error(fault)})


def previews(steps: int, count: int) -> list[int]:
    """Choose the steps after which a preview is shown: evenly, none of them the last."""
    return sorted({steps * (i + 1) // (count + 1) for i in range(count)} - {0})


def watch_every(steps: int, count: int) -> int:
    """Return the steps from one look at an image to the next that meet all its previews."""
    return math.gcd(*previews(steps, count)) or steps
