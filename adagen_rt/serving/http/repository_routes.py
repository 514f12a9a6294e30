"""The extension of KServe v2 and Triton by which clients list, load and unload engines."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.kserve import json_content
from adagen_rt.serving.http.kserve_images import MODEL_VERSION
from adagen_rt.serving.http.repository import Repository
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.tensors import Parsed, parse_json


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class IndexRequest(_Body):
    """What to list."""

    ready: bool = False


class LoadRequest(_Body):
    """Nothing: where engines come from, and how they run, is the command's to say."""

    parameters: dict[str, Any] | None = None


class UnloadParameters(_Body):
    """What Triton's client always sends; there are no dependents."""

    unload_dependents: bool = False


class UnloadRequest(_Body):
    """Nothing that changes anything."""

    parameters: UnloadParameters | None = None


def repository_router(fleet: Fleet, settings: Settings, repository: Repository | None) -> APIRouter:
    """Make the routes under ``/v2/repository``."""
    router = APIRouter(prefix="/v2/repository", tags=["KServe v2"])

    @router.post("/index", openapi_extra=_described(IndexRequest))
    async def index(request: Request) -> list[dict[str, str]]:
        """List the engines that the command named, and whether they take requests."""
        return list_engines(fleet, (await _read(request, IndexRequest)).ready)

    @router.post("/models/{name}/load", openapi_extra=_described(LoadRequest))
    async def load(name: str, request: Request) -> Response:
        """Load an engine from where it was loaded before; requests meanwhile go to the old one."""
        body = await _read(request, LoadRequest)
        if body.parameters:
            message = f"parameters: got {', '.join(body.parameters)!r:.80}, expected none"
            raise HTTPError(Fault(400, message, field="parameters"))
        await _allowed(repository, settings).load(name)
        return Response()

    @router.post("/models/{name}/unload", openapi_extra=_described(UnloadRequest))
    async def unload(name: str, request: Request) -> Response:
        """Finish an engine's work and free its memory."""
        await _read(request, UnloadRequest)
        _allowed(repository, settings).unload(name)
        return Response()

    return router


async def _read(request: Request, model: type[Parsed]) -> Parsed:
    return parse_json(model, await request.body() or b"{}", "what the repository extension has")


def _described(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"content": json_content(model)}}


def list_engines(fleet: Fleet, only_ready: bool) -> list[dict[str, str]]:
    """List engines with their states, as Triton names them."""
    return [
        {
            "name": name,
            "version": MODEL_VERSION,
            "state": "UNAVAILABLE" if reason else "READY",
            "reason": reason,
        }
        for name, reason in fleet.states.items()
        if not (only_ready and reason)
    ]


def _allowed(repository: Repository | None, settings: Settings) -> Repository:
    if repository is None or not settings.model_control:
        message = "model control: this server was started without --model-control"
        raise HTTPError(Fault(403, message, "not_allowed"))
    return repository
