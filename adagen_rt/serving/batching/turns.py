"""Turns by use: who has used least is next (start-time fair queueing)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key")
#: Keys that went that are remembered before those are looked for that no longer matter.
KEPT = 64


class Turns(Generic[Key]):
    """Keys that take turns; a turn is charged its cost, and moves its key back by as much.

    A key that comes is owed nothing for the time before. One that goes after more than its share
    finds that against it when it comes again.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()
        self._now = 0.0
        # What keys that went had used, where it is more than those have that are first.
        self._ahead: dict[Key, float] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, roughly in the order of their turns."""
        return (key for _, _, key in list(self._heap))

    @property
    def first(self) -> Key:
        """The key whose turn it is."""
        return self._heap[0][2]

    def add(self, key: Key) -> None:
        """Let a key that is not there take part."""
        start = max(self._ahead.pop(key, 0.0), self._now)
        heapq.heappush(self._heap, (start, next(self._numbers), key))

    def charge(self, key: Key, cost: float) -> None:
        """Charge a turn."""
        used = self._take(key)
        heapq.heappush(self._heap, (used + cost, next(self._numbers), key))
        self._pass()

    def remove(self, key: Key, cost: float = 0.0) -> None:
        """Let a key go, after a last turn that costs something."""
        self._ahead[key] = self._take(key) + cost
        self._pass()

    def _take(self, key: Key) -> float:
        if self.first == key:
            return heapq.heappop(self._heap)[0]
        entry = next(entry for entry in self._heap if entry[2] == key)
        self._heap.remove(entry)
        heapq.heapify(self._heap)
        return entry[0]

    def _pass(self) -> None:
        """Let time pass up to the first key, and forget what no longer matters."""
        if self._heap:
            now = self._now = max(self._now, self._heap[0][0])
            if len(self._ahead) > 2 * len(self._heap) + KEPT:
                self._ahead = {key: used for key, used in self._ahead.items() if used > now}
        else:  # nobody is left who could be treated unfairly
            self._ahead.clear()
            self._now = 0.0
