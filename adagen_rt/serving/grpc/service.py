"""The calls of the protocol, each answered by the HTTP side's application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.calls import Application, Asked, Exchange
from adagen_rt.serving.grpc.conversation import Conversation
from adagen_rt.serving.grpc.guests import Guest, Guests
from adagen_rt.serving.grpc.infer import parse, read_body, read_request
from adagen_rt.serving.grpc.methods import (
    INFER,
    METHODS,
    PROBE_CALLS,
    STREAM,
    Method,
    infer_request,
)
from adagen_rt.serving.grpc.status import CallError, Code, metadata
from adagen_rt.serving.grpc.stream import Stream
from adagen_rt.serving.http.clients import client_of
from adagen_rt.serving.http.connections import ConnectionLimits
from adagen_rt.serving.http.kserve import HEADER_LENGTH
from adagen_rt.serving.http.settings import Settings

#: Largest message of a call that needs no tensors.
SMALL_BYTES = 1 << 14
Talk = Callable[[Conversation, Guest], Awaitable[None]]


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers calls.

    Every call is read and written as a stream, whose parts can be bounded in time; for those with
    one message each way that is the same on the wire.

    Args:
        application: The application.
        settings: The limits that requests have on the HTTP side.
        limits: The limits that connections have there, which open calls have here.
        scheme: ``grpc``, or ``grpcs`` with TLS.
    """

    def __init__(
        self, application: Application, settings: Settings, limits: ConnectionLimits, scheme: str
    ) -> None:
        self._application = application
        self._settings, self._limits, self._scheme = settings, limits, scheme
        self._guests = Guests(limits)
        self._stopping = asyncio.Event()
        self._talks: dict[str, tuple[Talk, bool]] = {
            f"/{service}/{method.name}": (partial(self._one, method), method.name in PROBE_CALLS)
            for service, methods in METHODS.items()
            for method in methods
        }
        self._talks[INFER] = self._infer, False
        self._talks[STREAM] = self._stream, False

    def service(self, handler_call_details: Any) -> Any:
        """Find what answers a call; None, where nothing does."""
        name = handler_call_details.method
        if name not in self._talks:
            return None

        async def answer(iterator: Any, context: Any) -> None:
            await self.answer(name, context)

        return grpc.stream_stream_rpc_method_handler(answer)

    def stop(self) -> None:
        """Let streams end when what they have under way is done."""
        self._stopping.set()

    async def answer(self, name: str, context: Any) -> None:
        """Answer a call that there is, such as ``/inference.GRPCInferenceService/ModelInfer``.

        Args:
            name: Its full name.
            context: What gRPC gives; its messages are bytes.
        """
        talk, probe = self._talks[name]
        conversation = Conversation(context, self._scheme, self._limits.write_seconds)
        try:
            if probe:
                await talk(conversation, Guest(""))
                return
            with self._guests.enter(client_of(conversation.client[0])) as guest:
                if guest is None:
                    message = "calls: there are too many, from this address or in all"
                    raise CallError(Code.UNAVAILABLE, message, {"retry-after": "1"})
                await self._guests.turn(guest)
                await talk(conversation, guest)
                return
        except Exception as error:
            failure = CallError.of(error)
        await context.abort(failure.code, str(failure), metadata(failure.told))

    async def _message(self, conversation: Conversation) -> bytes:
        """Read the message of a call that has one."""
        try:
            data = await asyncio.wait_for(conversation.read(), self._settings.body_seconds)
        except asyncio.TimeoutError:
            text = "message: it took too long to arrive"
            raise CallError(Code.DEADLINE_EXCEEDED, text) from None
        if data is None:
            raise InputError("message", "none", "one")
        return data

    async def _one(self, method: Method, conversation: Conversation, guest: Guest) -> None:
        data = await self._message(conversation)
        if len(data) > SMALL_BYTES:
            raise InputError("message", f"{len(data)} bytes", f"at most {SMALL_BYTES}")
        asked = method.ask(parse(method.request, data))
        exchange, body = await self._ask(conversation, asked, method.answers)
        fields = method.read(exchange.status, json.loads(body) if body else {})
        answer = ParseDict(fields, method.response(), ignore_unknown_fields=True)
        await conversation.write(answer)

    async def _infer(self, conversation: Conversation, guest: Guest) -> None:
        message = await read_request(await self._message(conversation))
        exchange, body = await self._ask(conversation, infer_request(message), (200,))
        length = int(exchange.headers[HEADER_LENGTH.lower()])
        await conversation.write(await read_body(body, length))

    async def _ask(
        self, conversation: Conversation, asked: Asked, answers: tuple[int, ...]
    ) -> tuple[Exchange, bytes]:
        exchange = self._application.ask(conversation.caller(), asked)
        try:
            await exchange.begin()
            body = await exchange.body()
        finally:
            exchange.leave()
        if exchange.status not in answers:
            raise CallError.refusal(exchange.status, exchange.headers, body)
        conversation.tell(metadata(exchange.headers))
        return exchange, body

    async def _stream(self, conversation: Conversation, guest: Guest) -> None:
        turn = partial(self._guests.turn, guest)
        await Stream(self._application, conversation, guest, turn, self._stopping).run()
