"""Telemetry of requests: each gets an id, a line in the log, and is counted.

FastAPI makes its OpenTelemetry span, where a provider is configured; attributes are added here.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from typing import Any

from opentelemetry import trace
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adagen_rt.errors import StoppedError
from adagen_rt.serving.http.faults import Fault, fault_of, respond
from adagen_rt.serving.http.metrics import Metrics
from adagen_rt.serving.http.paths import PROBES, own_path

REQUEST_ID = "X-Request-Id"
#: Pattern of a caller's id, which is written to the log and a header.
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
#: Paths without a line in the log, because they are polled every few seconds.
QUIET_PATHS = (*PROBES, "/metrics")
#: Characters of a path that the log keeps.
MAX_PATH = 200
LOGGER = "adagen_rt.serving"


def note(request: Request, model: str, images: int) -> None:
    """Tell the model and the number of images of a request."""
    tell(request.scope, {"model": model, "images": images})


def tell(scope: Scope, facts: dict[str, Any]) -> None:
    """Add facts to the request's log line and span."""
    scope["adagen"] |= facts
    for name, value in facts.items():
        scope["adagen.span"].set_attribute(f"adagen.{name}", value)


def fault_under_way(request: Request, error: Exception) -> Fault:
    """Return the fault of an error after an answer has begun; what nobody expected is logged."""
    fault = fault_of(error)
    if fault.status == 500:
        fields = {"fields": request.scope["adagen"]}
        logging.getLogger(LOGGER).error("failed", exc_info=error, extra=fields)
    return fault


class Telemetry:
    """The outermost layer, which logs and answers every error below it.

    Args:
        app: The next application.
        metrics: Metrics that count requests.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._log = logging.getLogger(LOGGER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and record its outcome."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        number, seen = _request_id(scope), dict[str, int]()
        # Inside the handlers, the current span is a child of this one.
        scope["adagen"], scope["adagen.span"] = {}, trace.get_current_span()
        tell(scope, {"request_id": number})

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = number
                if "cached" in scope["adagen"]:
                    headers["Cache-Status"] = cache_status(scope["adagen"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if "status" in seen:
                raise
            # The server ends at once, and would answer in plain text.
            fault = fault_of(StoppedError("the server is shutting down"))
            await respond(own_path(scope), fault)(scope, receive, watched)
        except Exception as error:
            self._log.exception("failed", extra={"fields": scope["adagen"]})
            if "status" not in seen:
                await respond(own_path(scope), fault_of(error))(scope, receive, watched)
        self._report(scope, seen.get("status", 499), time.perf_counter() - begin)

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        self._metrics.answered(route, status, seconds)
        if own_path(scope) in QUIET_PATHS:
            return
        client = scope.get("client")
        fields = {
            "method": scope["method"],
            "route": route,
            "path": own_path(scope)[:MAX_PATH],
            "client": client[0] if client else None,
            "scheme": scope.get("scheme"),
            "status": status,
        }
        told = {**scope["adagen"], **fields, "seconds": round(seconds, 6)}
        self._log.info("request", extra={"fields": told})


def cache_status(facts: dict[str, Any]) -> str:
    """Say as RFC 9211 does how many of a request's images were kept from before."""
    kept = facts["cached"]
    how = "fwd=miss" if not kept else "hit" if kept == facts["images"] else "fwd=partial"
    return f"adagen-rt; {how}"


def _request_id(scope: Scope) -> str:
    given = dict(scope["headers"]).get(REQUEST_ID.lower().encode(), b"").decode("latin-1")
    return given if ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex
