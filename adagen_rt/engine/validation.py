"""Faults of a parsed file, described for people."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adagen_rt.errors import shown

#: Type of faults whose message names the fields itself.
NAMED = "named"


def describe_faults(error: ValidationError, most: int | None = None) -> str:
    """Describe every fault on one line, or the first ones, each with its field and its value."""
    faults = error.errors(include_url=False)
    return join_faults([_describe(fault) for fault in faults[:most]], len(faults))


def join_faults(told: Sequence[str], count: int) -> str:
    """Join the descriptions of some of ``count`` faults, and say how many there are more."""
    more = [f"and {count - len(told)} more"] if count > len(told) else []
    return "; ".join([*told, *more])


def _describe(fault: ErrorDetails) -> str:
    field = "" if fault["type"] == NAMED else ".".join(str(part) for part in fault["loc"])
    message = " ".join(fault["msg"].removeprefix("Value error, ").split())
    # These messages already contain the value, or say that it is missing.
    told = fault["type"] in {"missing", "value_error", NAMED}
    got = "" if told else f", got {shown(fault['input'], 80)}"
    return f"{field}: {message}{got}" if field else message + got
