"""Reading of whole, bounded bodies before anything parses them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adagen_rt.errors import InputError
from adagen_rt.serving.http.bounds import check_bounds
from adagen_rt.serving.http.faults import Fault, HTTPError, fault_of, respond
from adagen_rt.serving.http.paths import own_path
from adagen_rt.serving.http.settings import Settings

#: Encodings of a body; zlib detects which of them it is.
ENCODINGS = (b"gzip", b"deflate")
#: Header that says where the binary part of a body begins.
BINARY_AFTER = b"inference-header-content-length"
#: Digits of a length that could be one.
MAX_DIGITS = 10
#: Bytes of the bodies of all open requests, beyond which only small bodies are read.
ALL_BYTES, SMALL_BYTES = 64 << 20, 16 << 10
#: Part of an oversize body that is read and dropped: multiples of the limit, and seconds. A client
#: that reads no answer while it sends thus learns why it is refused.
LINGER_TIMES, LINGER_SECONDS = 16, 2.0


#: Counts the length of a body.
Count = Callable[[int], None]


class ClientGoneError(Exception):
    """The client left before its request was complete."""


class Bodies:
    """What the bodies of open requests take."""

    def __init__(self) -> None:
        self._taken = 0

    @contextmanager
    def share(self) -> Iterator[Count]:
        """Give a function that counts a request's body up to a length, until the block ends."""
        own = 0

        def count(length: int) -> None:
            nonlocal own
            self._taken += length - own
            own = length
            if length > SMALL_BYTES and self._taken > ALL_BYTES:
                message = f"bodies: those of all requests have {ALL_BYTES} bytes already"
                raise HTTPError(Fault(503, message, "too_large", retry_after=1, close=True))

        try:
            yield count
        finally:
            self._taken -= own


class BodyLimit:
    """Reads and decodes each body, and refuses one that is too large or too slow.

    Args:
        app: The next application; it gets the body in one piece.
        settings: The limits.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._bodies.share() as count:
            await self._pass(scope, receive, send, count)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, count: Count) -> None:
        try:
            body = await self._body(scope, receive, count)
        except (HTTPError, InputError) as error:
            await respond(own_path(scope), fault_of(error))(scope, receive, send)
            return
        except ClientGoneError:
            return
        await self._app(scope, _replay(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive, count: Count) -> bytes:
        headers = dict(scope["headers"])
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (*ENCODINGS, b"identity"):
            message = f"Content-Encoding: got {encoding!r:.40}, expected gzip, deflate or none"
            raise HTTPError(Fault(415, message, field="Content-Encoding", close=True))
        if b"transfer-encoding" in headers and b"content-length" in headers:
            # A proxy in between may believe the other one.
            message = "Content-Length: got one beside Transfer-Encoding, expected either"
            raise HTTPError(Fault(400, message, field="Content-Length", close=True))
        length = headers.get(b"content-length", b"0")
        announced = int(length) if length.isdigit() and len(length) < MAX_DIGITS else 0
        if announced > self._settings.body_bytes and b"expect" in headers:
            raise self._too_large()
        body = await self._read(receive, count)
        if encoding != b"identity":
            body = self._decompress(body)
            count(len(body))
            _replace_headers(scope, len(body))
        check_bounds(_text(body, headers))
        return body

    async def _read(self, receive: Receive, count: Count) -> bytes:
        body, limit = bytearray(), self._settings.body_bytes
        with anyio.move_on_after(self._settings.body_seconds):
            while True:
                chunk, more = await _receive(receive)
                body += chunk
                if len(body) > limit:
                    await _discard(receive, more, LINGER_TIMES * limit)
                    raise self._too_large()
                count(len(body))
                if not more:
                    return bytes(body)
        raise HTTPError(Fault(408, "body: it took too long to arrive", "timeout", close=True))

    def _decompress(self, body: bytes) -> bytes:
        limit = self._settings.body_bytes
        # 47: the header says whether it is gzip or zlib.
        decoder = zlib.decompressobj(wbits=47)
        try:
            content = decoder.decompress(body, limit + 1)
        except zlib.error:
            raise HTTPError(Fault(400, "body: not what Content-Encoding says")) from None
        if len(content) > limit:
            raise self._too_large()
        if not decoder.eof:
            raise HTTPError(Fault(400, "body: its compressed data is cut short"))
        return content

    def _too_large(self) -> HTTPError:
        message = f"body: larger than {self._settings.body_bytes} bytes"
        return HTTPError(Fault(413, message, "too_large", close=True))


def _text(body: bytes, headers: dict[bytes, bytes]) -> bytes:
    """Return the JSON part of a body, which may have binary data after it."""
    length = headers.get(BINARY_AFTER, b"")
    return body[: int(length)] if length.isdigit() and len(length) < MAX_DIGITS else body


async def _receive(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message.get("body", b""), message.get("more_body", False)


async def _discard(receive: Receive, more: bool, left: int) -> None:
    with anyio.move_on_after(LINGER_SECONDS):
        while more and left > 0:
            chunk, more = await _receive(receive)
            left -= len(chunk)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Make a ``receive`` that gives ``body`` once, then waits until the client leaves."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _replace_headers(scope: Scope, length: int) -> None:
    gone = (b"content-encoding", b"content-length", b"transfer-encoding")
    kept = [(name, value) for name, value in scope["headers"] if name not in gone]
    scope["headers"] = [*kept, (b"content-length", str(length).encode())]
