"""Errors of the core under the names that an API has for its fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adagen_rt.errors import InputError
from adagen_rt.serving.http.faults import Fault, HTTPError


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Input errors of the block name the field as its caller sent it.

    Args:
        names: The API's name for a field, by the core's.
    """
    try:
        yield
    except InputError as error:
        if error.field not in names:
            raise
        field = names[error.field]
        message = field + str(error).removeprefix(error.field)
        raise HTTPError(Fault(400, message, field=field)) from None
