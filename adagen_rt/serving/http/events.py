"""Server-sent events: previews of an image, and the policy's actions for it so far."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import anyio
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.types import Receive, Scope, Send

from adagen_rt.sampling.params import MAX_STEPS
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving import BatchEngine, Image, Job, Progress
from adagen_rt.serving.http.describe import static_schedule
from adagen_rt.serving.http.faults import fault_of
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.options import Options
from adagen_rt.serving.http.png import png_base64
from adagen_rt.serving.http.renamed import renamed
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import LOGGER, note
from adagen_rt.serving.http.work import (
    ImageOrder,
    caller_of,
    cost_limit,
    deadline,
    disconnected,
    in_time,
    outcome,
    read_ahead,
    release,
    submit,
)

#: Previews that wait for a slow client; later ones are left out.
MAX_WAITING = 32
Numbers = dict[str, list[float | None]]
CONTENT: dict[str, Any] = {"text/event-stream": {}}
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventsRequest(Options):
    """Body of ``/events``."""

    label: str | int | None = Field(
        None, description="A class name or number, of an engine that takes classes."
    )
    prompt: str | None = Field(None, description="A text, of an engine that takes prompts.")
    model: str | None = Field(None, description="The engine; may be left out if there is one.")
    seed: int | None = Field(None, ge=0, lt=SEED_LIMIT)
    every: int = Field(1, ge=1, le=MAX_STEPS, description="Steps from one preview to the next.")


def events_router(fleet: Fleet, settings: Settings) -> APIRouter:
    """Make the route ``/events``."""
    router = APIRouter(tags=["Events"])

    @router.post("/events", response_class=StreamingResponse, responses={200: {"content": CONTENT}})
    async def watch_image(body: EventsRequest, request: Request) -> StreamingResponse:
        """Stream one image, with a preview and the schedule after every ``every`` steps."""
        return await fleet.ask(body.model, lambda one: _watch(one, body, request, settings))

    return router


async def _watch(
    engine: BatchEngine, body: EventsRequest, request: Request, settings: Settings
) -> StreamingResponse:
    note(request, engine.name, 1)
    params = body.params()
    seconds, caller = deadline(request, settings), caller_of(request)
    limit = cost_limit(request, settings)
    given = [body.wish(label=body.label, prompt=body.prompt)]
    order = ImageOrder(given, [body.seed], params, seconds, caller, limit)
    await read_ahead(engine, order)
    feed = Feed()
    with renamed(seeds="seed"):
        (job,) = submit(engine, order, feed.put, body.every)
    steps = params.steps or engine.manifest.schedule.steps
    return EventStream(_stream(request, engine, job, feed, steps, seconds), job)


class EventStream(StreamingResponse):
    """A response that ends its generator and job.

    A client may leave before the generator has begun, which then cannot clean up itself.
    """

    media_type = "text/event-stream"

    def __init__(self, content: AsyncGenerator[str, None], job: Job) -> None:
        super().__init__(content, headers=HEADERS)
        self._content, self._job = content, job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream, and end its generator."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            release([self._job])
            await self._content.aclose()


class Feed:
    """Queue of progress from the compute thread to the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Progress] = deque()
        self._news = asyncio.Event()

    def put(self, progress: Progress) -> None:
        """Add progress without waiting; called on the compute thread."""
        # The loop is closed where a second signal ended the server before its work.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._keep, progress)

    def _keep(self, progress: Progress) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(progress)
        self._news.set()

    async def until(self, *ends: asyncio.Future[Any]) -> AsyncIterator[Progress]:
        """Yield progress until one of ``ends`` is done and the queue is empty."""
        for end in ends:
            end.add_done_callback(lambda _: self._news.set())
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if any(end.done() for end in ends):
                return
            await self._news.wait()
            self._news.clear()


async def _stream(
    request: Request, engine: BatchEngine, job: Job, feed: Feed, steps: int, seconds: float
) -> AsyncGenerator[str, None]:
    done = asyncio.gather(in_time(asyncio.wrap_future(job.future), seconds))
    gone = asyncio.create_task(disconnected(request))
    try:
        yield _event("queued", _queued(engine, job, steps))
        async for progress in feed.until(done, gone):
            yield _event("step", await _in_thread(_step, progress))
        if not done.done():
            return
        try:
            (image,) = outcome(done)
        except Exception as error:
            yield _event("error", _error(request, error))
            return
        yield _event("done", await _in_thread(_done, image))
    finally:
        gone.cancel()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())


async def _in_thread(make: Callable[[Any], dict[str, Any]], item: Any) -> dict[str, Any]:
    """Make an event's data in a thread: a large PNG would block the event loop for milliseconds."""
    return await anyio.to_thread.run_sync(make, item)


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


def _queued(engine: BatchEngine, job: Job, steps: int) -> dict[str, Any]:
    static = static_schedule(engine.manifest, steps)
    return {
        "id": job.id,
        "model": engine.name,
        **job.condition,
        "seed": str(job.seed),
        "steps": steps,
        "static_schedule": static,
    }


def _step(progress: Progress) -> dict[str, Any]:
    return {
        "step": progress.step,
        "steps": progress.steps,
        "schedule": numbers(progress.schedule),
        "image": png_base64(progress.preview),
    }


def _done(image: Image) -> dict[str, Any]:
    return {
        **image.condition,
        "seed": str(image.seed),
        "steps": image.steps,
        "schedule": numbers(image.schedule),
        "queued_seconds": round(image.queued_seconds, 6),
        "seconds": round(image.seconds, 6),
        "backbone_rows": image.backbone_rows,
        "image": png_base64(image.pixels),
    }


def _error(request: Request, error: Exception) -> dict[str, Any]:
    fault = fault_of(error)
    if fault.status == 500:
        fields = request.scope["adagen"]
        logging.getLogger(LOGGER).error("failed", exc_info=error, extra={"fields": fields})
    return {"status": fault.status, "message": fault.message, "code": fault.code}


def numbers(schedule: dict[str, np.ndarray]) -> Numbers:
    """Convert a schedule for JSON, which has no NaN: null where a step was not needed."""
    return {
        name: [float(f"{value:.7g}") if np.isfinite(value) else None for value in values]
        for name, values in schedule.items()
    }
