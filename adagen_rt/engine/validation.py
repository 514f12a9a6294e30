"""Faults of a parsed file, described for people."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_core import ErrorDetails


def describe_faults(error: ValidationError) -> str:
    """Describe every fault on one line, each with its field and its value."""
    return "; ".join(_describe(fault) for fault in error.errors(include_url=False))


def _describe(fault: ErrorDetails) -> str:
    field = ".".join(str(part) for part in fault["loc"])
    message = " ".join(fault["msg"].removeprefix("Value error, ").split())
    # These messages already contain the value, or say that it is missing.
    told = fault["type"] in {"missing", "value_error"}
    got = "" if told else f", got {fault['input']!r:.80}"
    return f"{field}: {message}{got}" if field else message + got
