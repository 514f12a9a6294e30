"""The images API of OpenAI, with a prompt or a class."""

from __future__ import annotations

import logging
import time
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response

from adagen_rt.condition import ClassLabels
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.describe import describe_engine
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.openai_bodies import (
    CompletedEvent,
    ImagesRequest,
    ImagesResponse,
    Model,
    ModelList,
    PartialImageEvent,
)
from adagen_rt.serving.http.openai_images import Answers, watch_every
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.streams import stream_image
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


def openai_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the routes under ``/v1``."""
    router = APIRouter(prefix="/v1", tags=["OpenAI images"])
    started = int(time.time())

    @router.get("/models", responses={200: {"model": ModelList}})
    async def list_models() -> dict[str, Any]:
        """List the engines that are ready."""
        return {"object": "list", "data": _models(fleet, started)}

    @router.get("/models/{model}", responses={200: {"model": Model}})
    async def retrieve_model(model: str) -> dict[str, Any]:
        """Describe one engine."""
        return _model(fleet.get(model), started)

    @router.post(
        "/images/generations",
        response_class=Response,
        responses={200: {"model": ImagesResponse, "content": _stream_content()}},
    )
    async def create_images(body: ImagesRequest, request: Request) -> Response:
        """Generate images of one prompt or class, all at once or with previews in a stream."""
        return await fleet.ask(body.model, lambda one: _answer(one, body, request, settings))

    return router


async def _answer(
    engine: BatchEngine, body: ImagesRequest, request: Request, settings: Settings
) -> Response:
    body.check()
    count = body.n or 1
    check_images("n", count, engine, settings)
    note(request, engine.name, count)
    order = ImageOrder(
        given=[body.wish(**{_field(engine): body.prompt})] * count,
        seeds=count_up(body.seed, count),
        params=body.params(),
        timeout=deadline(request, settings),
        caller=caller_of(request),
        cost_limit=cost_limit(request, settings),
    )
    answers = Answers(engine.manifest, body)
    with renamed(label="prompt", seeds="seed"):
        if body.stream:
            steps = order.params.steps or engine.manifest.schedule.steps
            every = watch_every(steps, body.partial_images or 0)
            return await stream_image(request, engine, order, every, answers, settings)
        images = await make_images(request, engine, order)
    # In a thread: large pictures would hold up the event loop.
    content = await anyio.to_thread.run_sync(answers.all_at_once, images)
    return Response(content, media_type="application/json")


def _field(engine: BatchEngine) -> str:
    """Name what an engine is asked for."""
    return "label" if isinstance(engine.manifest.condition, ClassLabels) else "prompt"


def _stream_content() -> dict[str, Any]:
    """Describe the events of a stream."""
    events = [one.model_json_schema() for one in (PartialImageEvent, CompletedEvent)]
    names = ", ".join(one["properties"]["type"]["const"] for one in events)
    return {"text/event-stream": {"schema": {"type": "string", "description": f"Events {names}"}}}


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
