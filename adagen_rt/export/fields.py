"""Types of a recipe's single fields, with what they may hold."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from adagen_rt.condition.labels import as_number


def _inside(name: str) -> str:
    """Accept a path that cannot lead out of the folder that it is relative to."""
    path = PurePosixPath(name)
    strange = not name.isprintable() or set(name) & set(":\\")
    if strange or path.is_absolute() or not path.parts or ".." in path.parts:
        raise ValueError(f"got {name!r:.80}, expected a file inside the weights folder")
    return name


def _classes(value: Any) -> int | tuple[str, ...]:
    """Accept a number of classes, or names that cannot be mistaken for each other."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"got {value}, expected at least 1")
        return value
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"got {value!r:.80}, expected how many there are, or their names")
    names = [
        unicodedata.normalize("NFC", name) if isinstance(name, str) else name for name in value
    ]
    if faults := [*_name_faults(names)]:
        raise ValueError("; ".join(faults))
    return tuple(names)


def _name_faults(names: list[Any]) -> list[str]:
    strange = [name for name in names if not isinstance(name, str) or not name.strip()]
    if strange:
        return [f"got the name {strange[0]!r:.80}, expected text (in quotes, if it is a number)"]
    counted = Counter(unicodedata.normalize("NFKC", name).casefold() for name in names)
    twice = [f"{name!r} is there {count} times" for name, count in counted.items() if count > 1]
    other = [
        f"{name!r} is class {index}, but a label {name!r} could mean class {name}"
        for index, name in enumerate(names)
        if as_number(name) not in (None, index)
    ]
    return [*twice[:3], *other[:3]]


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    """Accept black below white."""
    low, high = value
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"got [{low:g}, {high:g}], expected black below white")
    return value


#: A file of the weights folder or of one inside it.
FilePath = Annotated[str, AfterValidator(_inside), Field(max_length=400)]
#: How many classes there are, or their names.
Classes = Annotated[int | tuple[str, ...], BeforeValidator(_classes)]
#: What the decoder gives for black and for white.
PixelRange = Annotated[tuple[float, float], AfterValidator(_rising)]
