"""Bounds on what a JSON body contains, counted on its bytes before anything parses them.

A parser and a validator take far longer for a million empty objects than for the same bytes of
text, and none of the APIs has a use for many values.
"""

from __future__ import annotations

from adagen_rt.errors import InputError

#: Values of one body: every list, object and separator counts.
MAX_VALUES = 4096
#: Names of fields in one body, those of all its objects together.
MAX_KEYS = 512


def check_bounds(text: bytes) -> None:
    """Refuse JSON with more values or names than any request needs.

    Marks inside strings count too, which spares the parsing of strings.

    Raises:
        InputError: There are too many.
    """
    values = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if values > MAX_VALUES:
        raise InputError("body", f"{values} values", f"at most {MAX_VALUES}")
    keys = text.count(b":")
    if keys > MAX_KEYS:
        raise InputError("body", f"{keys} names of fields", f"at most {MAX_KEYS}")
