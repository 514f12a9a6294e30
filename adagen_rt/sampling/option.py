"""What an option of a generation may be: a row for each field of the sampling parameters."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np

from adagen_rt.errors import InputError, as_integer
from adagen_rt.extent import MAX_SIDE, Extent


@dataclass(frozen=True)
class Row:
    """Type, range and meaning of one field.

    Attributes:
        kind: ``int``, ``float`` or ``str``.
        text: Meaning of the field, in a few sentences.
        low: Smallest number.
        high: Largest number.
        choices: Possible words of a ``str``.
        graph: Graph that an engine needs for any value but the default.
        each: Whether a number may be given for each sample.
    """

    kind: type[int] | type[float] | type[str]
    text: str
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    graph: str | None = None
    each: bool = False

    def check(self, name: str, value: Any) -> None:
        """Refuse a value that is out of range; of texts without choices, a size is the only one.

        Raises:
            InputError: The value is out of range.
        """
        if self.choices:
            if not isinstance(value, str) or value not in self.choices:
                raise InputError(name, value, f"one of {', '.join(self.choices)}")
        elif self.kind is str:
            read_size(value)
        elif self.kind is int:
            as_integer(name, value, self.low, self.high)
        else:
            self._check_numbers(name, value)

    def _check_numbers(self, name: str, value: Any) -> None:
        """Refuse a number, or several, that are not between the smallest and the largest."""
        several = ", or one for each sample" if self.each else ""
        expected = f"a number from {self.low} to {self.high}{several}"
        try:
            numbers = np.asarray(value)
        except ValueError:  # sequences of several lengths
            raise InputError(name, value, expected) from None
        if numbers.dtype.kind not in "iuf" or numbers.ndim > self.each:
            raise InputError(name, value, expected)
        inside = (numbers >= self.low) & (numbers <= self.high)
        if not inside.all():
            raise InputError(name, float(numbers[~inside].ravel()[0]), expected)


def read_size(given: Any) -> Extent:
    """Read a size of images: ``WIDTHxHEIGHT``, ``SIDE``, or a pair (width, height).

    Raises:
        InputError: It is none of these.
    """
    try:
        if isinstance(given, str):
            return Extent.read(given)
        width, height = given
        return Extent.of([index(height), index(width)])
    except (TypeError, ValueError):
        expected = f"WIDTHxHEIGHT or SIDE, 1 to {MAX_SIDE} pixels each"
        raise InputError("size", given, expected) from None
