"""One open call: who calls, what is read, and what is written in time."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote

import grpc

from adagen_rt.serving.grpc.calls import Caller
from adagen_rt.serving.grpc.status import CallError, Code
from adagen_rt.serving.http.telemetry import REQUEST_ID
from adagen_rt.serving.http.work import PRIORITY_HEADER, TIMEOUT_HEADER

#: Metadata that are headers of the request.
HEADERS = ("authorization", REQUEST_ID, PRIORITY_HEADER, "traceparent", "tracestate")
#: Longest deadline in seconds, and the shortest that is told.
FOREVER, AT_ONCE = 1e9, 1e-6


class Conversation:
    """One open call.

    Args:
        context: What gRPC gives.
        scheme: ``grpc``, or ``grpcs`` with TLS.
        write_seconds: Time for which a client may read nothing of what is written.
    """

    def __init__(self, context: Any, scheme: str, write_seconds: float) -> None:
        self._context = context
        self._scheme = scheme
        self._write_seconds = write_seconds
        self._writing = asyncio.Lock()
        self._metadata = dict(context.invocation_metadata() or ())
        self.client = client_at(context.peer())

    def given(self, name: str) -> str | None:
        """Return a value of the call's metadata, if it is a text."""
        value = self._metadata.get(name.lower())
        return value if isinstance(value, str) else None

    def caller(self) -> Caller:
        """Tell the application who calls, and how much time there is now."""
        headers = {}
        for name in HEADERS:
            value = self.given(name)
            if value is not None:
                headers[name.lower()] = value
        left = self._context.time_remaining()
        if left is not None and left < FOREVER:
            headers[TIMEOUT_HEADER.lower()] = f"{max(left, AT_ONCE):.6f}"
        return Caller(self._scheme, self.client, headers)

    async def read(self) -> bytes | None:
        """Read a message; None after the last one."""
        data = await self._context.read()
        return None if data is grpc.aio.EOF else data

    async def write(self, message: Any) -> None:
        """Write a message.

        Raises:
            CallError: The client reads none of it for too long.
        """
        data = message.SerializeToString()
        async with self._writing:
            try:
                await asyncio.wait_for(self._context.write(data), self._write_seconds)
            except asyncio.TimeoutError:
                raise CallError(Code.ABORTED, "the client reads too slowly") from None

    def tell(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Set the last metadata."""
        self._context.set_trailing_metadata(metadata)


def client_at(peer: str) -> tuple[str, int]:
    """Return address and port of gRPC's name of a client, such as ``ipv4:127.0.0.1:5000``."""
    _, _, place = peer.partition(":")
    host, _, port = unquote(place).rpartition(":")
    return host.strip("[]"), int(port) if port.isdecimal() else 0
