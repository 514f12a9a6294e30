"""Inference messages to requests and back, off the event loop where they are large."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from google.protobuf.message import DecodeError

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.bounds import check_fields
from adagen_rt.serving.grpc.messages import MESSAGES
from adagen_rt.serving.grpc.tensors import read_answer
from adagen_rt.serving.http.kserve_stream import FRAME

#: Bytes from which on a thread reads or writes a message.
LARGE_BYTES = 1 << 14
Result = TypeVar("Result")


def parse(kind: Any, data: bytes) -> Any:
    """Parse a message.

    Raises:
        InputError: It is something else.
    """
    try:
        return kind.FromString(data)
    except DecodeError:
        raise InputError("message", "something else", f"a {kind.DESCRIPTOR.name}") from None


async def read_request(data: bytes) -> Any:
    """Parse a ``ModelInferRequest``.

    Raises:
        InputError: It is something else, or has too many fields.
    """

    def read() -> Any:
        check_fields(data)
        return parse(MESSAGES["ModelInferRequest"], data)

    return await _beside(len(data), read)


async def read_body(body: bytes, length: int) -> Any:
    """Make a ``ModelInferResponse`` of a body whose JSON part has a length."""

    def read() -> Any:
        return read_answer(json.loads(body[:length]), memoryview(body)[length:])

    return await _beside(len(body), read)


async def read_frame(frame: bytes) -> tuple[Any, dict[str, Any]]:
    """Make a ``ModelInferResponse`` of a stream's frame, or return what went wrong."""
    (length,) = FRAME.unpack_from(frame)
    text = frame[FRAME.size : FRAME.size + length]
    if b'"error"' in text:
        failure = json.loads(text)
        if "error" in failure:
            return None, failure
    return await read_body(frame[FRAME.size :], length), {}


async def _beside(size: int, work: Callable[[], Result]) -> Result:
    """Do something in a thread if it is much."""
    return await anyio.to_thread.run_sync(work) if size > LARGE_BYTES else work()
