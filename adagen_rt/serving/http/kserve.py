"""The open inference protocol, version 2 (KServe, Triton), with its binary extension."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve_images import (
    MODEL_VERSION,
    choose_outputs,
    condition_name,
    describe_model,
    output_arrays,
    read_wishes,
)
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import note
from adagen_rt.serving.http.tensors import (
    InferRequest,
    pack_response,
    parse_request,
    read_inputs,
)
from adagen_rt.serving.http.work import (
    ImageOrder,
    caller_of,
    cost_limit,
    deadline,
    make_images,
    most_images,
)

HEADER_LENGTH = "Inference-Header-Content-Length"
MICROSECOND = 1e-6


def kserve_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the routes under ``/v2``."""
    router = APIRouter(prefix="/v2", tags=["KServe v2"])

    @router.get("")
    async def server_metadata() -> dict[str, Any]:
        """Return name, version and extensions of this server."""
        extensions = ["binary_tensor_data"]
        return {"name": "adagen-rt", "version": version("adagen-rt"), "extensions": extensions}

    @router.get("/health/live")
    async def server_live(response: Response) -> dict[str, bool]:
        """Tell whether the process is alive: no engine has hung for minutes."""
        live = fleet.stalled < settings.live_seconds
        response.status_code = 200 if live else 503
        return {"live": live}

    @router.get("/health/ready")
    async def server_ready(response: Response) -> dict[str, bool]:
        """Tell whether every engine is warm and requests are admitted."""
        ready = fleet.ready and fleet.stalled < settings.ready_seconds
        response.status_code = 200 if ready else 503
        return {"ready": ready}

    _add_models(router, fleet, settings)
    _add_inference(router, fleet, settings)
    return router


def _add_models(router: APIRouter, fleet: Fleet, settings: Settings) -> None:
    @router.get("/models/{name}")
    async def model_metadata(name: str) -> dict[str, Any]:
        """Return the inputs and outputs of an engine."""
        return describe_model(_find(fleet, name))

    @router.get("/models/{name}/versions/{number}")
    async def version_metadata(name: str, number: str) -> dict[str, Any]:
        """The same; an engine has one version, 1."""
        return describe_model(_find(fleet, name, number))

    @router.get("/models/{name}/ready")
    async def model_ready(name: str) -> dict[str, Any]:
        """Tell whether one engine is warm and requests are admitted."""
        return _ready(_find(fleet, name), settings)

    @router.get("/models/{name}/versions/{number}/ready")
    async def version_ready(name: str, number: str) -> dict[str, Any]:
        """The same; an engine has one version, 1."""
        return _ready(_find(fleet, name, number), settings)


def _add_inference(router: APIRouter, fleet: Fleet, settings: Settings) -> None:
    content = {**json_content(InferRequest), "application/octet-stream": {}}
    body = {"requestBody": {"content": content, "required": True}}

    @router.post("/models/{name}/infer", openapi_extra=body)
    async def infer(name: str, request: Request) -> Response:
        """Generate a batch of images."""
        return await fleet.ask(name, lambda engine: _infer(engine, request, settings))

    @router.post("/models/{name}/versions/{number}/infer", openapi_extra=body)
    async def version_infer(name: str, number: str, request: Request) -> Response:
        """The same; an engine has one version, 1."""
        _find(fleet, name, number)
        return await fleet.ask(name, lambda engine: _infer(engine, request, settings))


async def _infer(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    body, length = await request.body(), request.headers.get(HEADER_LENGTH)
    asked, binary = await anyio.to_thread.run_sync(parse_request, body, length)
    outputs, in_binary = choose_outputs(engine.manifest, asked)
    order = _order(engine, asked, binary, settings, request)
    note(request, engine.name, len(order.given))
    tensors = {name: f"inputs.{name}" for name in ("label", "prompt", "negative_prompt")}
    with renamed(seeds="inputs.seed", **tensors):
        images = await make_images(request, engine, order)
    head = {"model_name": engine.name, "model_version": MODEL_VERSION}
    if asked.id is not None:
        head["id"] = asked.id

    def pack() -> tuple[bytes, int | None]:
        return pack_response(head, output_arrays(engine.manifest, images, outputs), in_binary)

    return _response(*await anyio.to_thread.run_sync(pack))


def _find(fleet: Fleet, name: str, number: str = MODEL_VERSION) -> BatchEngine:
    engine = fleet.get(name)
    if number != MODEL_VERSION:
        message = f"version: got {number!r:.40}, expected {MODEL_VERSION}"
        raise HTTPError(Fault(404, message, "model_not_found", "version"))
    return engine


def _ready(engine: BatchEngine, settings: Settings) -> dict[str, Any]:
    if not engine.alive or engine.stalled >= settings.ready_seconds:
        message = f"model: {engine.name} makes no steps"
        raise HTTPError(Fault(503, message, "not_ready", "model", retry_after=5))
    return {"name": engine.name, "ready": True}


def json_content(model: type[BaseModel]) -> dict[str, Any]:
    """Describe a body that a route parses by itself."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    return {"application/json": {"schema": _inline(schema, definitions)}}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """Replace a schema's references by their definitions."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].rpartition("/")[2]], definitions)
    return {key: _inline(value, definitions) for key, value in node.items()}


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


def _response(body: bytes, header_length: int | None) -> Response:
    if header_length is None:
        return Response(body, media_type="application/json")
    headers = {HEADER_LENGTH: str(header_length)}
    return Response(body, headers=headers, media_type="application/octet-stream")
