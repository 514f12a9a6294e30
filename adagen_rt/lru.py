"""The values that were used last, of what is dear to make."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

Value = TypeVar("Value")


class LruCache(OrderedDict[Hashable, Value]):
    """Values by key, the least recently used first; for one thread at a time.

    Args:
        most: How many are kept, at least 1.
        drop: Called with each value that gives way to another, or is cleared away.

    Attributes:
        most: As given.
    """

    def __init__(self, most: int, drop: Callable[[Value], object] = lambda value: None) -> None:
        super().__init__()
        self.most, self._drop = most, drop

    def fetch(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Return the value of a key; a new one is made when there is room for it."""
        if key not in self:
            while len(self) >= self.most:
                self._drop(self.popitem(last=False)[1])
            self[key] = make()
        self.move_to_end(key)
        return self[key]

    def clear(self) -> None:
        """Drop all."""
        while self:
            self._drop(self.popitem()[1])
