"""The open inference protocol, version 2 (KServe, Triton), with its binary extension."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import anyio
import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from adagen_rt.errors import InputError
from adagen_rt.serving import BatchEngine, Image
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
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
MODEL_VERSION = "1"
#: Outputs of a request that names none; the schedule comes only on request.
USUAL_OUTPUTS = ("image", "label", "seed")
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
        return _metadata(_find(fleet, name))

    @router.get("/models/{name}/versions/{number}")
    async def version_metadata(name: str, number: str) -> dict[str, Any]:
        """The same; an engine has one version, 1."""
        return _metadata(_find(fleet, name, number))

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
        return await _infer(_find(fleet, name), request, settings)

    @router.post("/models/{name}/versions/{number}/infer", openapi_extra=body)
    async def version_infer(name: str, number: str, request: Request) -> Response:
        """The same; an engine has one version, 1."""
        return await _infer(_find(fleet, name, number), request, settings)


async def _infer(engine: BatchEngine, request: Request, settings: Settings) -> Response:
    body, length = await request.body(), request.headers.get(HEADER_LENGTH)
    asked, binary = await anyio.to_thread.run_sync(parse_request, body, length)
    outputs, in_binary = _choose(asked, asked.parameters.binary_data_output)
    order = _order(engine, asked, binary, settings, request)
    note(request, engine.name, len(order.given))
    with renamed(label="inputs.label", seeds="inputs.seed"):
        images = await make_images(request, engine, order)
    head = {"model_name": engine.name, "model_version": MODEL_VERSION}
    if asked.id is not None:
        head["id"] = asked.id

    def pack() -> tuple[bytes, int | None]:
        return pack_response(head, _arrays(engine, images, outputs), in_binary)

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
    given, seeds = values.pop("label", None), values.pop("seed", None)
    if given is None or values:
        got = ", ".join(tensor.name for tensor in asked.inputs)
        raise InputError("inputs", got[:80], "label, and perhaps seed")
    if seeds is not None and len(seeds) != len(given):
        raise InputError("inputs.seed", f"{len(seeds)} values", f"{len(given)}, as of label")
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


def _choose(asked: InferRequest, all_binary: bool) -> tuple[tuple[str, ...], set[str]]:
    """Choose the requested outputs, and those of them that go in binary."""
    if asked.outputs is None:
        return USUAL_OUTPUTS, set(USUAL_OUTPUTS) if all_binary else set()
    names = tuple(output.name for output in asked.outputs)
    known = (*USUAL_OUTPUTS, "steps", "schedule")
    seen = set[str]()
    for name in names:
        if name not in known or name in seen:
            raise InputError("outputs", name[:80], f"some of {', '.join(known)}, each once")
        seen.add(name)
    binary = set()
    for output in asked.outputs:
        wanted = output.parameters.binary_data
        if all_binary if wanted is None else wanted:
            binary.add(output.name)
    return names, binary


def _arrays(
    engine: BatchEngine, images: list[Image], names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    actions = engine.manifest.schedule.names
    make: dict[str, Callable[[], np.ndarray]] = {
        "image": lambda: np.stack([image.pixels for image in images]),
        "label": lambda: np.array([image.label for image in images], np.int64),
        "seed": lambda: np.array([image.seed for image in images], np.int64),
        "steps": lambda: np.array([image.steps for image in images], np.int32),
        "schedule": lambda: np.stack(
            [np.stack([image.schedule[name] for name in actions], axis=-1) for image in images]
        ),
    }
    return {name: make[name]() for name in names}


def _metadata(engine: BatchEngine) -> dict[str, Any]:
    image, actions = engine.manifest.image, len(engine.manifest.schedule.actions)
    size = [*image.size, image.channels]
    return {
        "name": engine.name,
        "versions": [MODEL_VERSION],
        "platform": "adagen_rt",
        "inputs": [_tensor("label", "INT64", [-1]), _tensor("seed", "INT64", [-1])],
        "outputs": [
            _tensor("image", "UINT8", [-1, *size]),
            _tensor("label", "INT64", [-1]),
            _tensor("seed", "INT64", [-1]),
            _tensor("steps", "INT32", [-1]),
            _tensor("schedule", "FP32", [-1, -1, actions]),
        ],
    }


def _tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape}


def _response(body: bytes, header_length: int | None) -> Response:
    if header_length is None:
        return Response(body, media_type="application/json")
    headers = {HEADER_LENGTH: str(header_length)}
    return Response(body, headers=headers, media_type="application/octet-stream")
