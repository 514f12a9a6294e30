"""The images API of OpenAI, with a prompt or a class, and PNG as base64."""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

import anyio
from fastapi import APIRouter, Request
from pydantic import Field

from adagen_rt.condition import ClassLabels
from adagen_rt.errors import InputError
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving import BatchEngine, Image
from adagen_rt.serving.http.describe import describe_engine
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.options import Options
from adagen_rt.serving.http.png import png_base64
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import LOGGER, note
from adagen_rt.serving.http.work import (
    ImageOrder,
    caller_of,
    check_images,
    cost_limit,
    count_up,
    deadline,
    make_images,
)


class ImagesRequest(Options):
    """Body of ``/v1/images/generations``; other fields are refused."""

    prompt: str | int = Field(
        description="A text; of an engine that takes classes, a class name or number."
    )
    model: str | None = Field(None, description="The engine; may be left out if there is one.")
    n: int | None = Field(None, ge=1, description="Images; 1 unless told otherwise.")
    size: str | None = Field(None, description="The engine's own, as 32x32, width first, or auto.")
    response_format: Literal["b64_json"] | None = None
    output_format: Literal["png"] | None = None
    seed: int | None = Field(
        None, ge=0, lt=SEED_LIMIT, description="Of the first image; the others count up."
    )
    # What clients send whether or not somebody chose it; only the values that change nothing.
    user: str | None = Field(None, max_length=256, description="Ignored.")
    stream: Literal[False] | None = None
    partial_images: Literal[0] | None = None
    quality: Literal["auto"] | None = None
    background: Literal["auto"] | None = None
    moderation: Literal["auto"] | None = None
    output_compression: Literal[100] | None = None


def openai_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the routes under ``/v1``."""
    router = APIRouter(prefix="/v1", tags=["OpenAI images"])
    started = int(time.time())

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """List the engines that are ready."""
        return {"object": "list", "data": _models(fleet, started)}

    @router.get("/models/{model}")
    async def retrieve_model(model: str) -> dict[str, Any]:
        """Describe one engine."""
        return _model(fleet.get(model), started)

    @router.post("/images/generations")
    async def create_images(body: ImagesRequest, request: Request) -> dict[str, Any]:
        """Generate images of one prompt or class."""
        images = await fleet.ask(body.model, lambda one: _images(one, body, request, settings))
        data = await anyio.to_thread.run_sync(lambda: [_datum(image) for image in images])
        return {"created": int(time.time()), "data": data}

    return router


async def _images(
    engine: BatchEngine, body: ImagesRequest, request: Request, settings: Settings
) -> list[Image]:
    count = body.n or 1
    check_images("n", count, engine, settings)
    check_size(body.size, engine)
    note(request, engine.name, count)
    order = ImageOrder(
        given=[body.wish(**{_field(engine): body.prompt})] * count,
        seeds=count_up(body.seed, count),
        params=body.params(),
        timeout=deadline(request, settings),
        caller=caller_of(request),
        cost_limit=cost_limit(request, settings),
    )
    with renamed(label="prompt", seeds="seed"):
        return await make_images(request, engine, order)


def _field(engine: BatchEngine) -> str:
    """Name what an engine is asked for."""
    return "label" if isinstance(engine.manifest.condition, ClassLabels) else "prompt"


def check_size(size: str | None, engine: BatchEngine) -> None:
    """Refuse any size but the engine's own."""
    image = engine.manifest.image.size
    own = f"{image.width}x{image.height}"
    if size not in (None, "auto", own):
        order = "" if image.square else ", width by height,"
        raise InputError("size", size, f"{own}{order} or auto")


def _model(engine: BatchEngine, created: int) -> dict[str, Any]:
    return {
        "id": engine.name,
        "object": "model",
        "created": created,
        "owned_by": "adagen-rt",
        **describe_engine(engine.manifest),
    }


def _models(fleet: Fleet, created: int) -> list[dict[str, Any]]:
    """Describe every engine; what is wrong with one leaves the others in the list."""
    found = []
    for engine in fleet.engines:
        try:
            found.append(_model(engine, created))
        except Exception:
            fields = {"fields": {"model": engine.name}}
            logging.getLogger(LOGGER).exception("cannot be described", extra=fields)
    return found


def _datum(image: Image) -> dict[str, Any]:
    return {
        "b64_json": png_base64(image.pixels),
        "seed": image.seed,
        **image.condition,
        "steps": image.steps,
    }
