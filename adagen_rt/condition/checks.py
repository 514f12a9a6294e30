"""Texts of callers, checked before anything reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adagen_rt.errors import InputError

#: Largest prompt in bytes of UTF-8; far more than the longest text encoder reads.
MAX_BYTES = 16_384
#: Control characters, but those that are blanks to a tokenizer, and halves of surrogate pairs.
STRANGE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def check_text(field: str, text: Any) -> str:
    """Return a text that a tokenizer can read; an empty one is one.

    Raises:
        InputError: It is none, too long, or has characters that no text has.
    """
    if not isinstance(text, str):
        raise InputError(field, text, "a text")
    # A character has at least one byte, so that a very long text is not encoded.
    size = len(text) if len(text) > MAX_BYTES else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise InputError(field, f"a text of {size} bytes or more", f"at most {MAX_BYTES} bytes")
    if found := STRANGE.search(text):
        name = f"U+{ord(found[0]):04X} at character {found.start() + 1}"
        raise InputError(field, name, "a text without control characters and half surrogates")
    return str(text)


def one_for_each(field: str, given: Any, items: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Pair items with what is given for each of them, or once for all.

    Raises:
        InputError: There are not as many.
    """
    if given is None or isinstance(given, str):
        return ((item, given) for item in items)
    listed = as_list(given)
    if listed is None:
        raise InputError(field, given, "a text, or a list with one for each prompt")
    if len(listed) != len(items):
        raise InputError(field, f"{len(listed)} texts", f"one for all or for each of {len(items)}")
    return zip(items, listed, strict=True)


def as_list(given: Any) -> list[Any] | None:
    """Return what a list, tuple or array has; None for anything else, such as a single text."""
    if isinstance(given, np.ndarray):
        return given.tolist() if given.ndim == 1 else None
    single = isinstance(given, (str, bytes)) or not isinstance(given, Sequence)
    return None if single else list(given)
