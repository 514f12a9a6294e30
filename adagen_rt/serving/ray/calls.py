"""Calls over gRPC through Ray Serve: its proxy hands messages on as bytes, and replicas answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import groupby
from typing import Any

import grpc

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.methods import SINGLE, STREAM
from adagen_rt.serving.grpc.service import Service
from adagen_rt.serving.http.settings import Settings

#: Largest message; Serve's proxy takes two gigabytes.
MAX_BYTES = Settings().body_bytes


def add_services(servicer: Any, server: Any) -> None:
    """Let a proxy of Serve take the calls; `grpc_servicer_functions` of a config names this.

    Without classes of messages, which would have to pickle, the proxy takes and gives bytes.
    """
    handlers = {name: grpc.unary_unary_rpc_method_handler(servicer) for name in SINGLE}
    handlers[STREAM] = grpc.stream_stream_rpc_method_handler(servicer)
    for service, names in groupby(sorted(handlers), lambda name: name.split("/")[1]):
        own = {name.rpartition("/")[2]: handlers[name] for name in names}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, own),))


class Message(bytes):
    """A message that is written already; Serve asks for it by the method of the library."""

    def SerializeToString(self) -> bytes:  # noqa: N802
        """Return the bytes."""
        return bytes(self)


class Calls:
    """What Serve's proxy calls, by the last part of the calls' names.

    Attributes:
        service: Answers them.
    """

    service: Service


class _Context:
    """A call through Serve, as gRPC's own context would show it.

    Args:
        given: The messages.
        context: What Serve gives.

    Attributes:
        written: The answers, and None after the last one.
        failure: Why the call ends without an answer; None where it does not.
    """

    def __init__(self, given: AsyncIterator[bytes], context: Any) -> None:
        self._given, self._context = given, context
        # Serve takes all there is.
        self.written: asyncio.Queue[Message | None] = asyncio.Queue()
        self.failure: str | None = None
        self.invocation_metadata, self.peer = context.invocation_metadata, context.peer

    def time_remaining(self) -> None:
        """Serve does not tell; it cancels what has no time left."""

    async def read(self) -> Any:
        data = await anext(self._given, grpc.aio.EOF)
        if data is not grpc.aio.EOF and len(data) > MAX_BYTES:
            raise InputError("message", f"{len(data)} bytes", f"at most {MAX_BYTES}")
        return data

    async def write(self, data: bytes) -> None:
        self.written.put_nowait(Message(data))

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        self._context.set_trailing_metadata(list(metadata))

    async def abort(
        self, code: grpc.StatusCode, text: str, metadata: tuple[tuple[str, str], ...]
    ) -> None:
        self.failure = text
        self._context.set_code(code)
        self._context.set_details(text)
        self.set_trailing_metadata(metadata)


def _single(name: str) -> Callable[..., Awaitable[Message]]:
    async def call(self: Calls, message: bytes, grpc_context: Any) -> Message:
        async def given() -> AsyncIterator[bytes]:
            yield message

        context = _Context(given(), grpc_context)
        await self.service.answer(name, context)
        # A failure as an empty answer: Serve forgets last metadata where something is raised.
        written = None if context.written.empty() else context.written.get_nowait()
        return written or Message()

    return call


async def _stream(
    self: Calls, messages: AsyncIterator[bytes], grpc_context: Any
) -> AsyncIterator[Message]:
    context = _Context(aiter(messages), grpc_context)
    task = asyncio.create_task(self.service.answer(STREAM, context))
    task.add_done_callback(lambda _: context.written.put_nowait(None))
    try:
        while (message := await context.written.get()) is not None:
            yield message
        await task
    finally:
        task.cancel()
    if context.failure is not None:
        raise grpc.RpcError(context.failure)  # Serve makes it the status of the context


for _name, _call in {**{name: _single(name) for name in SINGLE}, STREAM: _stream}.items():
    setattr(Calls, _name.rpartition("/")[2], _call)
