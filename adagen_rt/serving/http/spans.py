"""Spans of OpenTelemetry for each image of a request: how long it waited, and was computed."""

from __future__ import annotations

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

from adagen_rt.serving import Job

QUEUE, COMPUTE = "adagen.queue", "adagen.compute"


class JobSpans:
    """Observes an engine; spans are children of the one under which an image was asked for.

    Where nobody records that one, there are none.
    """

    def __init__(self) -> None:
        self._open: dict[Job, tuple[Context, Span]] = {}

    def queued(self, job: Job) -> None:
        """Begin the span of an image that waits."""
        asked = context.get_current()
        if trace.get_current_span(asked).is_recording():
            self._open[job] = asked, self._begin(QUEUE, asked, job)

    def started(self, job: Job, queued_seconds: float) -> None:
        """End it, and begin that of its computation."""
        if job in self._open:
            asked, span = self._open[job]
            span.end()
            self._open[job] = asked, self._begin(COMPUTE, asked, job)

    def stepped(self, slots: int, seconds: float) -> None:
        """A step belongs to many images, and has no span."""

    def ended(self, job: Job, outcome: str, seconds: float) -> None:
        """End the span that is open, and say how the image ended."""
        _, span = self._open.pop(job, (None, None))
        if span is not None:
            span.set_attribute("adagen.outcome", outcome)
            span.end()

    def _begin(self, name: str, asked: Context, job: Job) -> Span:
        facts = {"adagen.job": job.id, "adagen.seed": str(job.seed)}
        return trace.get_tracer("adagen_rt").start_span(name, asked, attributes=facts)
