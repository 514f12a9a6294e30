"""What KServe's calls for images have in common: the order, and its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from starlette.requests import Request

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine, Image, Progress
from adagen_rt.serving.http.json_text import write_json
from adagen_rt.serving.http.kserve_images import (
    MODEL_VERSION,
    choose_outputs,
    condition_name,
    output_arrays,
    preview_arrays,
    read_wishes,
)
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import note
from adagen_rt.serving.http.tensors import InferRequest, read_inputs
from adagen_rt.serving.http.work import (
    ImageOrder,
    caller_of,
    cost_limit,
    deadline,
    most_images,
)

MICROSECOND = 1e-6


@dataclass(frozen=True)
class Inference:
    """A checked request for images.

    Attributes:
        engine: Who makes them.
        order: What is made.
        every: Steps between previews; 0 gives none.
        names: Outputs that are asked for.
        binary: Those of them that go in binary.
        head: What every answer begins with.
        inputs: Names of the inputs that were given.
    """

    engine: BatchEngine
    order: ImageOrder
    every: int
    names: tuple[str, ...]
    binary: set[str]
    head: dict[str, Any]
    inputs: tuple[str, ...]

    @property
    def manifest(self) -> Manifest:
        """The engine's manifest."""
        return self.engine.manifest

    def naming(self) -> AbstractContextManager[None]:
        """Make input errors of the block name KServe's inputs; a parameter is named as it is."""
        tensors = {name: f"inputs.{name}" for name in self.inputs}
        return renamed(**tensors, seeds="inputs.seed")

    def preview(self, progress: Progress) -> dict[str, np.ndarray]:
        """Make the outputs of an image under way."""
        return preview_arrays(self.manifest, progress)

    def told(self, images: Sequence[Image]) -> dict[str, Any]:
        """Make the head of the last answer, whose parameter ``cut`` names what was not read."""
        cut = dict.fromkeys(image.condition.get("cut") for image in images)
        found = "; ".join(filter(None, cut))
        return {**self.head, "parameters": {"cut": found}} if found else self.head

    def final(self, images: Sequence[Image]) -> dict[str, np.ndarray]:
        """Make the outputs of what is done."""
        return output_arrays(self.manifest, images, self.names)


def read_inference(
    engine: BatchEngine,
    asked: InferRequest,
    binary: bytes,
    settings: Settings,
    request: Request,
    streams: bool = False,
) -> Inference:
    """Check a request and read what it asks for.

    Args:
        engine: Who is asked.
        asked: The JSON part.
        binary: The binary part.
        settings: The limits.
        request: Who asks, until when.
        streams: Whether there may be several answers.

    Raises:
        InputError: Something is wrong with it.
    """
    names, in_binary = choose_outputs(engine.manifest, asked)
    order = _order(engine, asked, binary, settings, request)
    every = asked.parameters.preview_every
    if every and not streams:
        raise InputError("preview_every", every, "0, where there is one answer")
    if every and len(order.given) > 1:
        got = f"{every} for {len(order.given)} images"
        raise InputError("preview_every", got, "one image in a request with previews")
    note(request, engine.name, len(order.given))
    head = {"model_name": engine.name, "model_version": MODEL_VERSION}
    if asked.id is not None:
        head["id"] = asked.id
    inputs = tuple(tensor.name for tensor in asked.inputs)
    return Inference(engine, order, every, names, in_binary, head, inputs)


def _order(
    engine: BatchEngine,
    asked: InferRequest,
    binary: bytes,
    settings: Settings,
    request: Request,
) -> ImageOrder:
    values = read_inputs(asked, binary, most_images(engine, settings))
    seeds = values.pop("seed", None)
    given = read_wishes(engine.manifest, asked, values)
    if seeds is not None and len(seeds) != len(given):
        what = condition_name(engine.manifest)
        raise InputError("inputs.seed", f"{len(seeds)} values", f"{len(given)}, as of {what}")
    microseconds = asked.parameters.timeout
    seconds = None if microseconds is None else microseconds * MICROSECOND
    seeds = seeds or [None] * len(given)
    return ImageOrder(
        given,
        seeds,
        asked.parameters.params(),
        deadline(request, settings, seconds),
        caller_of(request, asked.parameters.priority),
        cost_limit(request, settings),
    )


def flat_json(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Write an answer of the generate extension: each output flat, or alone if it is one value."""
    return write_json({**head, **{name: _alone(array) for name, array in arrays.items()}})


def _alone(array: np.ndarray) -> Any:
    if array.size != 1:
        return array
    value = array.item()
    return value if math.isfinite(value) else None
