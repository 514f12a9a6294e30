"""A stream of inferences: several requests at once, each with its previews and its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from adagen_rt.serving.grpc.calls import Application
from adagen_rt.serving.grpc.conversation import Conversation
from adagen_rt.serving.grpc.guests import Guest
from adagen_rt.serving.grpc.infer import read_frame, read_request
from adagen_rt.serving.grpc.messages import MESSAGES
from adagen_rt.serving.grpc.methods import infer_request
from adagen_rt.serving.grpc.status import CallError, Code, code_of
from adagen_rt.serving.grpc.tensors import FINAL, read_failure
from adagen_rt.serving.http.kserve_stream import FRAMES

#: Requests of one stream that are under way at once; later ones are not read yet.
MAX_OPEN = 64
#: Seconds for which a stream may ask for nothing.
IDLE_SECONDS = 600.0
#: Metadata by which Triton's clients want the first error to end a stream.
STRICT = "triton_grpc_error"


class Stream:
    """One stream.

    Args:
        application: The application.
        conversation: The call.
        guest: The same, as a guest who may have to make room.
        turn: Waits until a request may begin.
        stopping: Set when the server ends.
    """

    def __init__(
        self,
        application: Application,
        conversation: Conversation,
        guest: Guest,
        turn: Callable[[], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        self._application, self._conversation = application, conversation
        self._guest, self._turn, self._stopping = guest, turn, stopping
        self._strict = conversation.given(STRICT) == "true"
        self._open: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Answer requests until the client has no more of them.

        Raises:
            CallError: The stream ends for another reason.
        """
        ends = [asyncio.create_task(end.wait()) for end in (self._guest.evicted, self._stopping)]
        reading: asyncio.Task[bytes | None] | None = None
        try:
            while True:
                if reading is None and len(self._open) < MAX_OPEN:
                    reading = asyncio.create_task(self._conversation.read())
                await self._wait(*ends, *([reading] if reading else []))
                if any(end.done() for end in ends):
                    break
                if reading is not None and reading.done():
                    data, reading = reading.result(), None
                    if data is None:
                        await asyncio.gather(*self._open)
                        return
                    self._open.add(asyncio.create_task(self._answer(data)))
            await asyncio.gather(*self._open)
        finally:
            for task in (*ends, *self._open, *([reading] if reading else [])):
                task.cancel()
        stopping = self._stopping.is_set()
        why = "the server is shutting down" if stopping else "streams: there are too many"
        raise CallError(Code.UNAVAILABLE, why)

    async def _wait(self, *events: asyncio.Task[Any]) -> None:
        """Wait for the next event, or the end of an answer."""
        idle = not self._open
        self._guest.idle_since = asyncio.get_running_loop().time() if idle else None
        seconds = IDLE_SECONDS if idle else None
        first = asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait({*events, *self._open}, timeout=seconds, return_when=first)
        if not done:
            raise CallError(Code.DEADLINE_EXCEEDED, f"stream: no request for {seconds:.0f} s")
        for task in done & self._open:
            self._open.discard(task)
            task.result()

    async def _answer(self, data: bytes) -> None:
        """Answer one request; what is wrong with it is an answer too."""
        number = ""
        try:
            await self._turn()
            message = await read_request(data)
            number = message.id
            await self._infer(message)
        except Exception as error:
            failure = CallError.of(error)
            if self._strict or failure.code is Code.UNAUTHENTICATED:
                raise failure from None
            await self._conversation.write(read_failure(str(failure), number, {FINAL: True}))

    async def _infer(self, message: Any) -> None:
        asked = infer_request(message, (FRAMES,))
        exchange = self._application.ask(self._conversation.caller(), asked)
        try:
            await exchange.begin()
            if exchange.status != 200:
                raise CallError.refusal(exchange.status, exchange.headers, await exchange.body())
            async for frame in exchange.parts():
                answer, failure = await read_frame(frame)
                if failure:
                    raise CallError(code_of(failure["status"]), failure["error"], exchange.headers)
                await self._conversation.write(
                    MESSAGES["ModelStreamInferResponse"](infer_response=answer)
                )
        finally:
            exchange.leave()
