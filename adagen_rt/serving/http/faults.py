"""Error responses, in the shape that each API expects."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from adagen_rt.engine.validation import join_faults
from adagen_rt.errors import (
    DeadlineError,
    EngineError,
    ForkedError,
    InputError,
    QueueFullError,
    SampleError,
    StoppedError,
    shown,
)

#: Longest message in characters; it quotes the caller's values.
MAX_MESSAGE = 500
#: Faults of one body that are described; the others are counted.
MAX_FAULTS = 5
#: Bytes or characters of a body that are quoted from where it is no JSON.
QUOTED = 24
#: OpenAI's codes of faults of a body, by pydantic's types of them.
CODES = {
    "missing": "missing_required_parameter",
    "extra_forbidden": "unknown_parameter",
    "greater_than": "integer_below_min_value",
    "greater_than_equal": "integer_below_min_value",
    "less_than": "integer_above_max_value",
    "less_than_equal": "integer_above_max_value",
    "string_too_long": "string_above_max_length",
}
INTERNAL = "internal error; the server's log has it under this request's id"


@dataclass(frozen=True)
class Fault:
    """One error of a request, or of its processing.

    Attributes:
        status: HTTP status.
        message: One line that names the field; no path of the server.
        code: A word for programs; OpenAI's where it has one.
        field: The field as the caller sent it.
        retry_after: Seconds after which to try again.
        close: Whether the connection closes because the rest of the body is not read.
        headers: More headers of the answer.
    """

    status: int
    message: str
    code: str = "invalid_value"
    field: str | None = None
    retry_after: float | None = None
    close: bool = False
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class HTTPError(Exception):
    """A fault that is raised on its way to the caller."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def fault_of(error: Exception) -> Fault:
    """Return the fault that describes ``error`` to the caller."""
    if isinstance(error, HTTPError):
        return error.fault
    if isinstance(error, InputError):
        return Fault(400, str(error), field=error.field)
    if isinstance(error, (RequestValidationError, HTTPException)):
        # FastAPI says of a body that it cannot read no more than that.
        cause = error.__cause__
        if isinstance(cause, (ValueError, RecursionError)):
            return _unreadable(cause)
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        told = dict(error.headers or {})
        return Fault(error.status_code, str(error.detail), "http_error", headers=told)
    return _conduct(error)


def _conduct(error: Exception) -> Fault:
    """Return the fault of an error that the server's load or health caused."""
    match error:
        case QueueFullError():
            return Fault(429, str(error), "rate_limit_exceeded", retry_after=error.retry_after)
        case DeadlineError():
            return Fault(504, str(error), "deadline_exceeded")
        case StoppedError():
            return Fault(503, "the server is shutting down", "stopping", retry_after=5)
        case ForkedError():
            return Fault(503, str(error), "not_loaded")
        case SampleError():
            return Fault(500, str(error), "sample_failed")
        case EngineError():
            # All that a request can provoke: it names a graph that this engine lacks.
            return Fault(400, str(error), "unsupported_parameter")
    return Fault(500, INTERNAL, "internal_error")


def _unreadable(cause: Exception) -> Fault:
    """Describe a body that is no JSON; no field is known of it."""
    match cause:
        case UnicodeDecodeError(object=body, start=place):
            got = f"{shown(body[place : place + QUOTED], 80)} at byte {place + 1}"
        case json.JSONDecodeError(doc=text, pos=place, msg=told):
            what = told[0].lower() + told[1:].removesuffix(" at").removesuffix(" starting")
            got = f"{shown(text[place : place + QUOTED], 80)} at character {place + 1} ({what})"
        case RecursionError():
            got = "lists or objects too deep in each other"
        case _:
            got = "a number of thousands of digits"
    return Fault(400, f"body: got {got}, expected JSON in UTF-8")


def _invalid(error: RequestValidationError) -> Fault:
    """Describe the first faults of a body on one line, each with its field and value."""
    faults = error.errors()
    if isinstance(faults[0]["input"], bytes):  # FastAPI parses what is said to be JSON
        message = "Content-Type: got none that says JSON, expected application/json"
        return Fault(415, message, "content_type", "Content-Type")
    told = [_describe(fault) for fault in faults[:MAX_FAULTS]]
    code = _code(str(faults[0]["type"]))
    return Fault(400, join_faults(told, len(faults)), code, _field(faults[0]) or None)


def _code(kind: str) -> str:
    """Return the API's code of a fault of validation."""
    return CODES.get(kind, "invalid_type" if kind.endswith("_type") else "invalid_value")


def _field(fault: dict[str, object]) -> str:
    where = fault["loc"]
    assert isinstance(where, tuple)
    # Unions add the names of their branches, which mean nothing to a caller.
    return ".".join(str(part) for part in where[1:2])


def _describe(fault: dict[str, object]) -> str:
    field = _field(fault) or "body"
    if fault["type"] == "extra_forbidden":
        return f"{field}: not supported by this server"
    if fault["type"] == "missing":
        return f"{field}: missing"
    got = f"got {shown(fault['input'], 80)}, "
    return f"{field}: {got}{str(fault['msg'])[:1].lower()}{str(fault['msg'])[1:]}"


def respond(path: str, fault: Fault) -> JSONResponse:
    """Make the error response of ``path``: OpenAI's shape under /v1, KServe's under /v2."""
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(fault.retry_after)))
    if fault.close:
        headers["Connection"] = "close"
    if path.startswith("/v2"):
        return JSONResponse({"error": one_line(fault.message)}, fault.status, headers)
    return JSONResponse(openai_error(fault), fault.status, headers)


def openai_error(fault: Fault) -> dict[str, dict[str, str | None]]:
    """Describe a fault as OpenAI's API does, which its clients read."""
    limited = fault.status == 429
    kind = "invalid_request_error" if fault.status < 500 else "server_error"
    return {
        "error": {
            "message": one_line(fault.message),
            "type": "rate_limit_error" if limited else kind,
            "param": fault.field,
            "code": fault.code,
        }
    }


def one_line(message: str) -> str:
    """Bound a message, which quotes a caller's values."""
    return " ".join(message.split())[:MAX_MESSAGE]
