"""The whole HTTP side as one ASGI application."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import anyio
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from adagen_rt.errors import AdagenError
from adagen_rt.serving.http.auth import BearerToken
from adagen_rt.serving.http.body import BodyLimit
from adagen_rt.serving.http.browsers import Browsers
from adagen_rt.serving.http.compress import Compressed
from adagen_rt.serving.http.events import events_router
from adagen_rt.serving.http.faults import HTTPError, fault_of, respond
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.generate import generate_router
from adagen_rt.serving.http.heads import Heads
from adagen_rt.serving.http.kserve import kserve_router
from adagen_rt.serving.http.metrics import Metrics
from adagen_rt.serving.http.openai import openai_router
from adagen_rt.serving.http.openapi import describe
from adagen_rt.serving.http.operation import operation_router
from adagen_rt.serving.http.page import page_router
from adagen_rt.serving.http.paths import own_path
from adagen_rt.serving.http.repository import Repository
from adagen_rt.serving.http.repository_routes import repository_router
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import Telemetry


def create_app(
    fleet: Fleet,
    settings: Settings | None = None,
    metrics: Metrics | None = None,
    repository: Repository | None = None,
) -> FastAPI:
    """Make an application that serves ``fleet``, to be run by uvicorn or mounted in another.

    Args:
        fleet: The engines.
        settings: Limits and token.
        metrics: Metrics to count in; None makes new ones. An engine that is added to the fleet
            later has to be passed to ``metrics.watch``.
        repository: Loads engines for whom ``settings.model_control`` lets ask for it.
    """
    settings = settings or Settings()
    if metrics is None:
        metrics = Metrics()
        for engine in fleet.engines:
            metrics.watch(engine)
    app = FastAPI(
        title="adagen-rt",
        version=version("adagen-rt"),
        docs_url=None,
        redoc_url=None,
        # A redirection would name whatever host the request named.
        redirect_slashes=False,
    )
    app.include_router(page_router())
    app.include_router(operation_router(fleet, settings, metrics.statistics))
    app.include_router(kserve_router(fleet, settings))
    app.include_router(generate_router(fleet, settings))
    app.include_router(repository_router(fleet, settings, repository))
    app.include_router(openai_router(fleet, settings))
    app.include_router(events_router(fleet, settings))
    _add_metrics(app, metrics)
    describe(app, settings.accepted)
    metrics.expect(fleet.states, _answers(app))
    for kind in (AdagenError, HTTPError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    # The middleware added last is the outermost.
    app.add_middleware(Compressed)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(BearerToken, tokens=settings.accepted)
    app.add_middleware(Browsers, allowed=settings.allowed_hosts)
    app.add_middleware(Heads)
    app.add_middleware(Telemetry, metrics=metrics)
    return app


def _answers(app: FastAPI) -> Iterator[tuple[str, int]]:
    """Yield the paths of all routes with the statuses that their descriptions name."""
    for path, methods in app.openapi()["paths"].items():
        for method in methods.values():
            for status in method["responses"]:
                yield path, int(status)


def _add_metrics(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/metrics", tags=["Operation"], response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        # In a thread: there may be files of many processes to read.
        text = await anyio.to_thread.run_sync(metrics.text)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _answer(request: Request, error: Exception) -> Response:
    fault = fault_of(error)
    if fault.status == 500:
        # Telemetry logs it and answers the caller.
        raise error
    return respond(own_path(request.scope), fault)
