"""Height and width of an image or of a map, the one type that has both."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

#: Largest height or width of anything.
MAX_SIDE = 16384


class Extent(NamedTuple):
    """Height and width, in pixels or in places of a map.

    Files have one number for a square and ``[height, width]`` for anything else.
    """

    height: int
    width: int

    @classmethod
    def of(cls, value: Any, most: int = MAX_SIDE) -> Extent:
        """Read a number, a pair or an extent.

        Raises:
            ValueError: It is none, or a side is too small or too large.
        """
        pair = value if isinstance(value, (list, tuple)) else (value, value)
        if len(pair) != 2 or any(type(side) is not int or not 1 <= side <= most for side in pair):
            raise ValueError(f"got {value!r:.80}, expected 1 to {most}, or [height, width] of such")
        return cls(*pair)

    @classmethod
    def read(cls, words: str) -> Extent:
        """Read what people write: ``SIDE``, or ``WIDTHxHEIGHT``.

        Raises:
            ValueError: It is neither, or a side is too small or too large.
        """
        sides = words.lower().split("x")
        if len(sides) > 2 or not all(re.fullmatch("[0-9]{1,6}", side) for side in sides):
            raise ValueError(f"got {words!r:.80}, expected a number of pixels, or WIDTHxHEIGHT")
        return cls.of([int(sides[-1]), int(sides[0])])

    @property
    def words(self) -> str:
        """What people write: width first, such as ``768x512``."""
        return f"{self.width}x{self.height}"

    @property
    def area(self) -> int:
        """How many pixels or places there are."""
        return self.height * self.width

    @property
    def square(self) -> bool:
        """Whether both sides are equal."""
        return self.height == self.width

    @property
    def plain(self) -> int | list[int]:
        """The form in files."""
        return self.height if self.square else [self.height, self.width]

    def times(self, factor: int) -> Extent:
        """Multiply both sides."""
        return Extent(self.height * factor, self.width * factor)

    def over(self, factor: int) -> Extent:
        """Divide both sides, rounding down."""
        return Extent(self.height // factor, self.width // factor)

    def __str__(self) -> str:
        sides = f"{self.height} x {self.width}"
        return sides if self.square else f"{sides} (height x width)"


_SIDE: dict[str, Any] = {"type": "integer", "minimum": 1}
_PAIR: dict[str, Any] = {
    "type": "array",
    "prefixItems": [_SIDE, _SIDE],
    "description": "[height, width]",
}
#: How JSON Schema says it.
NUMBER_OR_PAIR: Final = {"anyOf": [_SIDE, _PAIR]}
#: A field of a parsed file.
ExtentField: TypeAlias = Annotated[
    Extent,
    # Older pydantic gives a second argument to whatever takes one.
    BeforeValidator(lambda value: Extent.of(value)),
    PlainSerializer(lambda extent: Extent.of(extent).plain),
    WithJsonSchema(NUMBER_OR_PAIR),
]
