"""Triton's generate extension: an image of a few JSON fields, at once or with previews."""

from __future__ import annotations

from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve import json_content
from adagen_rt.serving.http.kserve_infer import Inference, flat_json, read_inference
from adagen_rt.serving.http.kserve_stream import Events, stream_images
from adagen_rt.serving.http.model_routes import ModelRoutes
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.tensors import InferRequest, check_as, parse_json
from adagen_rt.serving.http.work import make_images

#: Fields that are inputs, with their datatypes where there is one; all others are parameters.
INPUTS = {"label": None, "prompt": "BYTES", "negative_prompt": "BYTES", "seed": "INT64"}
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}


def _one_or_several(*kinds: str) -> Any:
    """Describe a field that is checked as a tensor, which says more of what is wrong with it."""
    one: Any = {"type": list(kinds)}
    return Field(None, json_schema_extra={"anyOf": [one, {"type": "array", "items": one}]})


class GenerateRequest(BaseModel):
    """Body of a generate request: inputs by name, and parameters, here or among the inputs."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: str | None = Field(None, max_length=200)
    label: Any = _one_or_several("integer", "string")
    prompt: Any = _one_or_several("string")
    negative_prompt: Any = _one_or_several("string")
    seed: Any = _one_or_several("integer")
    parameters: dict[str, Any] = {}


def generate_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the routes ``generate`` and ``generate_stream`` of every model."""
    router = APIRouter(prefix="/v2", tags=["KServe v2"])
    body = {"requestBody": {"content": json_content(GenerateRequest), "required": True}}

    routes = ModelRoutes(router, fleet)

    async def generate(engine: BatchEngine, request: Request) -> Response:
        """Generate images of JSON fields; outputs come flat."""
        return await _generate(engine, request, settings)

    async def generate_stream(engine: BatchEngine, request: Request) -> Response:
        """The same as server-sent events, with previews if ``preview_every`` asks for them."""
        return await _stream(engine, request, settings)

    routes.images("/generate", generate, openapi_extra=body)
    routes.images("/generate_stream", generate_stream, openapi_extra=body, responses=STREAM)
    return router


async def _generate(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    inference = await _read(engine, request, settings, streams=False)
    with inference.naming():
        images = await make_images(request, engine, inference.order)

    def render() -> Response:
        content = flat_json(inference.told(images), inference.final(images))
        return Response(content, media_type="application/json")

    return await anyio.to_thread.run_sync(render)


async def _stream(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    inference = await _read(engine, request, settings, streams=True)
    return await stream_images(request, inference, Events(), settings)


async def _read(
    engine: BatchEngine, request: Request, settings: Settings, streams: bool
) -> Inference:
    asked = await anyio.to_thread.run_sync(_parse, await request.body())
    return read_inference(engine, asked, b"", settings, request, streams)


def _parse(body: bytes) -> InferRequest:
    """Make an inference request of JSON fields."""
    given = parse_json(GenerateRequest, body, "a generate request")
    named = given.model_dump(include=set(INPUTS), exclude_unset=True) | (given.model_extra or {})
    for name, value in given.parameters.items():
        if name in named:
            raise InputError(name, "twice", "each field once")
        named[name] = value
    inputs = [_tensor(name, named.pop(name)) for name in INPUTS if name in named]
    whole = {"id": given.id, "inputs": inputs, "parameters": named}
    return check_as(InferRequest, whole, "a generate request")


def _tensor(name: str, value: Any) -> dict[str, Any]:
    data = value if isinstance(value, list) else [value]
    datatype = INPUTS[name] or ("BYTES" if data and isinstance(data[0], str) else "INT64")
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}
