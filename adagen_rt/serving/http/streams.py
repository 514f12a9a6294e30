"""Streams of server-sent events about one image: what all APIs that have one share."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

import anyio
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from adagen_rt.serving import BatchEngine, Image, Job, Progress
from adagen_rt.serving.http.faults import Fault
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import fault_under_way
from adagen_rt.serving.http.work import (
    ImageOrder,
    disconnected,
    in_time,
    outcome,
    read_ahead,
    release,
    submit,
)

#: Previews that wait for a slow client; later ones are left out.
MAX_WAITING = 32
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
#: A line that clients skip, which keeps proxies from taking a connection for dead.
KEEP_ALIVE = ": keep-alive\n\n"


class Messages(Protocol):
    """What an API says of an image under way; `event` makes one message."""

    def queued(self, job: Job) -> str:
        """Tell that the image waits; may be empty."""

    def step(self, progress: Progress) -> str:
        """Show a preview; called on a thread, may be empty."""

    def done(self, image: Image) -> str:
        """Give the image; called on a thread."""

    def error(self, fault: Fault) -> str:
        """Tell what went wrong."""


def event(name: str, data: dict[str, Any]) -> str:
    """Write one event."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"


async def stream_image(
    request: Request,
    engine: BatchEngine,
    order: ImageOrder,
    every: int,
    messages: Messages,
    settings: Settings,
) -> StreamingResponse:
    """Queue the one image of an order, and answer with a stream about it.

    Args:
        request: The request.
        engine: Makes the image.
        order: One image.
        every: Steps from one preview to the next.
        messages: What is said of it.
        settings: Says after how long a silence the stream shows that it lives.
    """
    await read_ahead(engine, order)
    feed = Feed()
    (job,) = submit(engine, order, feed.put, every)
    content = _stream(request, job, feed, order.timeout, messages, settings.event_keep_alive)
    return EventStream(content, job)


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

    async def until(
        self, *ends: asyncio.Future[Any], silence: float | None = None
    ) -> AsyncIterator[Progress | None]:
        """Yield progress until one of ``ends`` is done and the queue is empty.

        Args:
            *ends: What is waited for.
            silence: Seconds without progress after which None is yielded; None never does.
        """
        for end in ends:
            end.add_done_callback(lambda _: self._news.set())
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if any(end.done() for end in ends):
                return
            with anyio.move_on_after(silence) as waited:
                await self._news.wait()
            if waited.cancelled_caught:
                yield None
            self._news.clear()


async def _stream(
    request: Request,
    job: Job,
    feed: Feed,
    seconds: float,
    messages: Messages,
    silence: float | None,
) -> AsyncGenerator[str, None]:
    done = asyncio.gather(in_time(asyncio.wrap_future(job.future), seconds))
    gone = asyncio.create_task(disconnected(request))
    in_thread = anyio.to_thread.run_sync  # a large picture would block the event loop
    try:
        yield messages.queued(job)
        async for progress in feed.until(done, gone, silence=silence):
            yield KEEP_ALIVE if progress is None else await in_thread(messages.step, progress)
        if not done.done():
            return
        try:
            (image,) = outcome(done)
        except Exception as error:
            yield messages.error(fault_under_way(request, error))
            return
        yield await in_thread(messages.done, image)
    finally:
        gone.cancel()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
