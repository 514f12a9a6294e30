"""Input errors of the core, renamed to an API's names of its fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from adagen_rt.errors import InputError
from adagen_rt.serving.http.faults import Fault, HTTPError


@contextmanager
def renamed(**names: str) -> Iterator[None]:
    """Make input errors of the block name the field as its caller sent it.

    Args:
        names: The API's name of a field, by the core's name.
    """
    try:
        yield
    except InputError as error:
        if error.field not in names:
            raise
        field = names[error.field]
        raise HTTPError(Fault(400, str(error.renamed(field)), field=field)) from None
