"""The open inference protocol, version 2 (KServe, Triton), with its binary extension."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve_images import describe_model
from adagen_rt.serving.http.kserve_infer import read_inference
from adagen_rt.serving.http.kserve_stream import FRAMES, Frames, stream_images
from adagen_rt.serving.http.model_routes import ModelRoutes
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.tensors import InferRequest, pack_response, parse_request
from adagen_rt.serving.http.work import make_images

HEADER_LENGTH = "Inference-Header-Content-Length"
BINARY: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": {}}}}
#: Extensions of Triton's that are here.
EXTENSIONS = (
    "binary_tensor_data",
    "generate",
    "logging",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
    "trace",
)


def kserve_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the routes under ``/v2``."""
    router = APIRouter(prefix="/v2", tags=["KServe v2"])

    @router.get("")
    async def server_metadata() -> dict[str, Any]:
        """Return name, version and extensions of this server."""
        return {"name": "adagen-rt", "version": version("adagen-rt"), "extensions": EXTENSIONS}

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

    routes = ModelRoutes(router, fleet)
    _add_models(routes, settings)
    _add_inference(routes, settings)
    return router


def _add_models(routes: ModelRoutes, settings: Settings) -> None:
    def model_metadata(engine: BatchEngine) -> dict[str, Any]:
        """Return the inputs and outputs of an engine."""
        return describe_model(engine)

    def model_ready(engine: BatchEngine) -> dict[str, Any]:
        """Tell whether one engine is warm and requests are admitted."""
        return _ready(engine, settings)

    routes.facts("", model_metadata)
    routes.facts("/ready", model_ready)


def _add_inference(routes: ModelRoutes, settings: Settings) -> None:
    content = {**json_content(InferRequest), "application/octet-stream": {}}
    body = {"requestBody": {"content": content, "required": True}}

    async def infer(engine: BatchEngine, request: Request) -> Response:
        """Generate a batch of images."""
        return await _infer(engine, request, settings)

    routes.images("/infer", infer, openapi_extra=body, responses=BINARY)


async def _infer(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    body, length = await request.body(), request.headers.get(HEADER_LENGTH)
    asked, binary = await anyio.to_thread.run_sync(parse_request, body, length)
    frames = FRAMES in request.scope.get("extensions", {})
    inference = read_inference(engine, asked, binary, settings, request, streams=frames)
    if frames:
        return await stream_images(request, inference, Frames(), settings)
    with inference.naming():
        images = await make_images(request, engine, inference.order)

    def pack() -> tuple[bytes, int | None]:
        return pack_response(inference.told(images), inference.final(images), inference.binary)

    return _response(*await anyio.to_thread.run_sync(pack))


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


def _response(body: bytes, header_length: int | None) -> Response:
    if header_length is None:
        return Response(body, media_type="application/json")
    headers = {HEADER_LENGTH: str(header_length)}
    return Response(body, headers=headers, media_type="application/octet-stream")
