"""Errors of the HTTP side as gRPC's status codes."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

import grpc

from adagen_rt.serving.http.faults import MAX_MESSAGE, Fault, fault_of
from adagen_rt.serving.http.telemetry import LOGGER

Code = grpc.StatusCode
CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.RESOURCE_EXHAUSTED,
    415: Code.INVALID_ARGUMENT,
    429: Code.UNAVAILABLE,
    499: Code.CANCELLED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
#: Headers of an answer that a call's last metadata have too.
TOLD = ("x-request-id", "retry-after")


class CallError(Exception):
    """A call that ends with an error.

    Args:
        code: gRPC's code.
        message: One line.
        told: Last metadata.
    """

    def __init__(
        self, code: grpc.StatusCode, message: str, told: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.told = told or {}

    @classmethod
    def of(cls, error: Exception) -> CallError:
        """Describe any error to the caller; what nobody expected is logged."""
        if isinstance(error, CallError):
            return error
        fault = fault_of(error)
        if fault.status == 500:
            logging.getLogger(LOGGER).error("a call failed", exc_info=error)
            return cls(Code.INTERNAL, "internal error; the server's log has it")
        return cls(code_of(fault.status), told_of(fault))

    @classmethod
    def refusal(cls, status: int, headers: Mapping[str, str], body: bytes) -> CallError:
        """Describe an answer of the HTTP side that is an error."""
        message = json.loads(body)["error"] if body else "the call was cancelled"
        return cls(code_of(status), message, headers)


def told_of(fault: Fault) -> str:
    """Return a fault's message as one line, not too long."""
    return " ".join(fault.message.split())[:MAX_MESSAGE]


def code_of(status: int) -> grpc.StatusCode:
    """Return the code of an HTTP status."""
    return CODES.get(status, Code.INTERNAL)


def metadata(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Choose from an answer's headers what callers are told."""
    return tuple((name, headers[name]) for name in TOLD if name in headers)
