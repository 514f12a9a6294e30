"""Requests to the HTTP side's application, in this process.

A call over gRPC is a request to the same application, so that tokens, limits, deadlines, shares,
metrics and the log are those of everybody.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message

#: Parts of an answer that wait for a slow client; the application waits after that.
MAX_WAITING = 4


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        method: HTTP's method.
        path: The path.
        body: The body.
        headers: Headers by their names in small letters.
        extensions: What the caller declares that it takes.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Caller:
    """Who calls, as the application should know.

    Attributes:
        scheme: ``grpc``, or ``grpcs`` with TLS.
        client: Address and port.
        headers: Headers by their names in small letters.
    """

    scheme: str
    client: tuple[str, int]
    headers: Mapping[str, str]


class Application:
    """The application, and the requests to it that have not ended.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # The event loop itself does not keep them.
        self._open: set[asyncio.Task[None]] = set()

    def ask(self, caller: Caller, asked: Asked) -> Exchange:
        """Begin a request; whoever does ends it by `Exchange.leave`."""
        exchange = Exchange(asked.body)
        made = exchange.run(self._app, _scope(caller, asked))
        task = asyncio.create_task(made)
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        return exchange


class Exchange:
    """One request and its answer.

    Args:
        body: The request's body.

    Attributes:
        status: HTTP's status, once the first part of the answer is there; 499 without any.
        headers: Headers of the answer by their names in small letters.
    """

    def __init__(self, body: bytes) -> None:
        self.status = 499
        self.headers: dict[str, str] = {}
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._parts: asyncio.Queue[Message | None] = asyncio.Queue(MAX_WAITING)

    async def run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Let the application answer."""
        try:
            await app(scope, self._receive, self._send)
        finally:
            if not self._gone.is_set():
                await self._parts.put(None)

    async def _receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if not self._gone.is_set():
            await self._parts.put(message)

    async def begin(self) -> None:
        """Wait for the head of the answer."""
        message = await self._parts.get()
        if message is not None:
            self.status = message["status"]
            pairs = message.get("headers", ())
            self.headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in pairs
            }
        else:
            self._gone.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the parts of the body."""
        while not self._gone.is_set():
            message = await self._parts.get()
            if message is None:
                return
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                return

    async def body(self) -> bytes:
        """Return the whole body."""
        return b"".join([part async for part in self.parts()])

    def leave(self) -> None:
        """Let the application know that nobody waits any more."""
        self._gone.set()
        # It may be waiting for room.
        while not self._parts.empty():
            self._parts.get_nowait()


def _scope(caller: Caller, asked: Asked) -> dict[str, Any]:
    headers = {"host": "localhost", **caller.headers, **asked.headers}
    headers["content-length"] = str(len(asked.body))
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "2",
        "method": asked.method,
        "scheme": caller.scheme,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": pairs,
        "client": caller.client,
        "server": None,
        "extensions": {name: {} for name in asked.extensions},
    }


def posted(path: str, content: dict[str, Any]) -> Asked:
    """Make a request with a body of JSON."""
    headers = {"content-type": "application/json"}
    return Asked("POST", path, json.dumps(content).encode(), headers)
