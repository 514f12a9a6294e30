"""Several answers to one request of KServe: previews, and then the images."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Protocol

import anyio
import numpy as np
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from adagen_rt.serving import Job
from adagen_rt.serving.http.json_text import write_json
from adagen_rt.serving.http.kserve_infer import Inference, flat_json
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.streams import HEADERS, KEEP_ALIVE, Feed
from adagen_rt.serving.http.telemetry import fault_under_way
from adagen_rt.serving.http.tensors import pack_response
from adagen_rt.serving.http.work import disconnected, in_time, outcome, read_ahead, release, submit

#: Length of the JSON part, in front of an answer in a frame.
FRAME = struct.Struct("<I")
#: What an ASGI server declares that takes several answers to an inference, each in a frame.
FRAMES = "adagen.frames"


class Form(Protocol):
    """How answers are written.

    Attributes:
        keep_alive: What breaks a silence, if anything.
    """

    keep_alive: bytes

    def answer(self, head: dict[str, Any], arrays: dict[str, np.ndarray], last: bool) -> bytes:
        """Write an answer: its head, its outputs, and whether it is the last one."""

    def failure(self, facts: dict[str, Any]) -> bytes:
        """Write what went wrong."""


class Events:
    """Answers as server-sent events without a name, as ``generate_stream`` has them."""

    keep_alive = KEEP_ALIVE.encode()

    def answer(self, head: dict[str, Any], arrays: dict[str, np.ndarray], last: bool) -> bytes:
        """Write an answer."""
        return self._event(flat_json(head, arrays))

    def failure(self, facts: dict[str, Any]) -> bytes:
        """Write what went wrong."""
        return self._event(write_json(facts))

    def _event(self, text: str) -> bytes:
        return f"data: {text}\n\n".encode()


class Frames:
    """Answers as the length of their JSON, the JSON, and outputs in binary."""

    keep_alive = b""

    def answer(self, head: dict[str, Any], arrays: dict[str, np.ndarray], last: bool) -> bytes:
        """Write an answer."""
        told = {**head.get("parameters", {}), "triton_final_response": last}
        full = {**head, "parameters": told}
        body, length = pack_response(full, arrays, set(arrays))
        return FRAME.pack(len(body) if length is None else length) + body

    def failure(self, facts: dict[str, Any]) -> bytes:
        """Write what went wrong."""
        text = write_json(facts).encode()
        return FRAME.pack(len(text)) + text


async def stream_images(
    request: Request, inference: Inference, form: Form, settings: Settings
) -> Answers:
    """Queue what a request asks for, and answer as it comes.

    Args:
        request: The request.
        inference: What it asks for.
        form: Writes an answer.
        settings: Says after how long a silence the stream shows that it lives.
    """
    await read_ahead(inference.engine, inference.order)
    feed = Feed()
    watch = feed.put if inference.every else None
    with inference.naming():
        jobs = submit(inference.engine, inference.order, watch, inference.every or 1)
    silence = settings.event_keep_alive if form.keep_alive else None
    return Answers(_answers(request, inference, form, jobs, feed, silence), jobs)


class Answers(StreamingResponse):
    """A response that ends its generator and jobs, even one that has not begun."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncGenerator[bytes, None], jobs: Sequence[Job]) -> None:
        super().__init__(content, headers=HEADERS)
        self._content, self._jobs = content, jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answers."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            release(self._jobs)
            await self._content.aclose()


async def _answers(
    request: Request,
    inference: Inference,
    form: Form,
    jobs: Sequence[Job],
    feed: Feed,
    silence: float | None,
) -> AsyncGenerator[bytes, None]:
    made = asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))
    done = asyncio.ensure_future(in_time(made, inference.order.timeout))
    gone = asyncio.create_task(disconnected(request))
    head, in_thread = inference.head, anyio.to_thread.run_sync
    try:
        async for progress in feed.until(done, gone, silence=silence):
            if progress is None:
                yield form.keep_alive
            elif progress.step < progress.steps:  # the last step's image is the answer itself
                shown = inference.preview(progress)
                yield await in_thread(form.answer, head, shown, False)
        if not done.done():
            return
        try:
            images = outcome(done)
        except Exception as error:
            fault = fault_under_way(request, error)
            yield form.failure({**head, "error": fault.message, "status": fault.status})
            return
        head = inference.told(images)
        yield await in_thread(lambda: form.answer(head, inference.final(images), True))
    finally:
        gone.cancel()
        done.add_done_callback(lambda future: future.cancelled() or future.exception())
