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
from adagen_rt.serving.http.kserve_images import MODEL_VERSION, describe_model
from adagen_rt.serving.http.kserve_infer import input_names, read_inference
from adagen_rt.serving.http.kserve_stream import FRAMES, Frames, stream_images
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

    _add_models(router, fleet, settings)
    _add_inference(router, fleet, settings)
    return router


def _add_models(router: APIRouter, fleet: Fleet, settings: Settings) -> None:
    @router.get("/models/{name}")
    async def model_metadata(name: str) -> dict[str, Any]:
        """Return the inputs and outputs of an engine."""
        return describe_model(find_engine(fleet, name))

    @router.get("/models/{name}/versions/{number}")
    async def version_metadata(name: str, number: str) -> dict[str, Any]:
        """The same; an engine has one version, 1."""
        return describe_model(find_engine(fleet, name, number))

    @router.get("/models/{name}/ready")
    async def model_ready(name: str) -> dict[str, Any]:
        """Tell whether one engine is warm and requests are admitted."""
        return _ready(find_engine(fleet, name), settings)

    @router.get("/models/{name}/versions/{number}/ready")
    async def version_ready(name: str, number: str) -> dict[str, Any]:
        """The same; an engine has one version, 1."""
        return _ready(find_engine(fleet, name, number), settings)


def _add_inference(router: APIRouter, fleet: Fleet, settings: Settings) -> None:
    content = {**json_content(InferRequest), "application/octet-stream": {}}
    body = {"requestBody": {"content": content, "required": True}}

    @router.post("/models/{name}/infer", openapi_extra=body, responses=BINARY)
    async def infer(name: str, request: Request) -> Response:
        """Generate a batch of images."""
        return await fleet.ask(name, lambda engine: _infer(engine, request, settings))

    @router.post("/models/{name}/versions/{number}/infer", openapi_extra=body, responses=BINARY)
    async def version_infer(name: str, number: str, request: Request) -> Response:
        """The same; an engine has one version, 1."""
        find_engine(fleet, name, number)
        return await infer(name, request)


async def _infer(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    body, length = await request.body(), request.headers.get(HEADER_LENGTH)
    asked, binary = await anyio.to_thread.run_sync(parse_request, body, length)
    frames = FRAMES in request.scope.get("extensions", {})
    inference = read_inference(engine, asked, binary, settings, request, streams=frames)
    if frames:
        return await stream_images(request, inference, Frames(), settings)
    with input_names():
        images = await make_images(request, engine, inference.order)

    def pack() -> tuple[bytes, int | None]:
        return pack_response(inference.head, inference.final(images), inference.binary)

    return _response(*await anyio.to_thread.run_sync(pack))


def find_engine(fleet: Fleet, name: str, number: str = MODEL_VERSION) -> BatchEngine:
    """Find an engine by its name and version."""
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


def _response(body: bytes, header_length: int | None) -> Response:
    if header_length is None:
        return Response(body, media_type="application/json")
    headers = {HEADER_LENGTH: str(header_length)}
    return Response(body, headers=headers, media_type="application/octet-stream")
