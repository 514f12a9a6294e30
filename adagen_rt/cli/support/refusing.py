"""Options that do not go with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adagen_rt.errors import InputError


def refuse_options(options: Mapping[str, Any], expected: str) -> None:
    """Refuse options that were given.

    Args:
        options: What was given, by the option's name; None and () are nothing.
        expected: What is expected in their place.

    Raises:
        InputError: One was.
    """
    for name, given in options.items():
        if given is not None and given != ():
            raise InputError(name, str(given), expected)
