"""Compression of whole answers, in a thread, for whom accepts it."""

from __future__ import annotations

import zlib

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Smallest answer that is compressed.
LEAST_BYTES = 1024
#: zlib's fastest: pixels do not get much smaller with more effort.
LEVEL = 1
#: zlib's names of the formats, the preferred one first.
FORMATS = {"gzip": 31, "deflate": 15}


class Compressed:
    """Compresses answers that are sent in one piece; a stream passes as it comes.

    Args:
        app: The next application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and compress its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        encoding = accepted(Headers(scope=scope).get("accept-encoding", ""))
        waiting: list[Message] = []

        async def compress(message: Message) -> None:
            if message["type"] == "http.response.start":
                waiting.append(message)
                return
            if waiting:
                start = waiting.pop()
                if not message.get("more_body", False):
                    message = await _compressed(start, message, encoding)
                await send(start)
            await send(message)

        await self._app(scope, receive, compress)


def accepted(header: str) -> str | None:
    """Choose the best of an ``Accept-Encoding`` header that is known here; None for no such one."""
    weights = dict(_weight(part) for part in header.lower().split(",")[: len(FORMATS) * 8])
    known = {name: weights.get(name, weights.get("*", 0.0)) for name in FORMATS}
    best = max(known, key=lambda name: known[name])
    return best if known[best] > 0 else None


def _weight(part: str) -> tuple[str, float]:
    name, _, rest = part.partition(";")
    key, _, value = rest.partition("=")
    try:
        weight = float(value) if key.strip() == "q" else 1.0
    except ValueError:
        weight = 0.0
    return name.strip(), weight


async def _compressed(start: Message, message: Message, encoding: str | None) -> Message:
    """Compress a body, and say so in the head."""
    headers = MutableHeaders(scope=start)
    body: bytes = message.get("body", b"")
    if len(body) < LEAST_BYTES or "content-encoding" in headers:
        return message
    headers.add_vary_header("Accept-Encoding")
    if encoding is None:
        return message
    small = await anyio.to_thread.run_sync(_compress, body, FORMATS[encoding])
    headers["Content-Encoding"] = encoding
    headers["Content-Length"] = str(len(small))
    return {**message, "body": small}


def _compress(body: bytes, form: int) -> bytes:
    packer = zlib.compressobj(LEVEL, wbits=form)
    return packer.compress(body) + packer.flush()
