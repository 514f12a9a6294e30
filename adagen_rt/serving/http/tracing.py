"""OpenTelemetry spans, where its API is installed; without an SDK they cost next to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

try:
    from opentelemetry import propagate, trace
except ImportError:
    trace = None  # type: ignore[assignment]


class Span:
    """The span of one request.

    Args:
        span: OpenTelemetry's; None records nothing.
    """

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end_with(self, status: int, facts: dict[str, Any]) -> None:
        """Say how the request ended and what it asked for."""
        if self._span is None:
            return
        self._span.set_attribute("http.response.status_code", status)
        for name, value in facts.items():
            self._span.set_attribute(f"adagen.{name}", value)
        if status >= 500:
            self._span.set_status(trace.StatusCode.ERROR)


@contextmanager
def request_span(scope: Scope) -> Iterator[Span]:
    """A span around a request, a child of the caller's if its headers name one."""
    if trace is None:
        yield Span()
        return
    carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    tracer = trace.get_tracer("adagen_rt.serving")
    attributes = {"http.request.method": scope["method"], "url.path": scope["path"]}
    with tracer.start_as_current_span(
        f"{scope['method']} {scope['path']}",
        context=propagate.extract(carrier),
        kind=trace.SpanKind.SERVER,
        attributes=attributes,
    ) as span:
        yield Span(span)
