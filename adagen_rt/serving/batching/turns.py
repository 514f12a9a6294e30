"""Turns by use: who has used least is next (start-time fair queueing)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Turns(Generic[Key]):
    """Keys that take turns; a turn is charged its cost, and moves its key back by as much.

    A key that comes is owed nothing for the time before. It goes when its turn has come, so that
    it owes nothing either.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = count()
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys in the order of their turns."""
        return (key for _, _, key in sorted(self._heap, key=lambda entry: entry[:2]))

    def add(self, key: Key) -> None:
        """Let a key that is not there take part."""
        heapq.heappush(self._heap, (self._now, next(self._numbers), key))

    @property
    def first(self) -> Key:
        """The key whose turn it is."""
        return self._heap[0][2]

    def charge(self, key: Key, cost: float) -> None:
        """Charge a turn."""
        place = next(i for i, entry in enumerate(self._heap) if entry[2] == key)
        used, _, _ = self._heap[place]
        self._now = max(self._now, self._heap[0][0])
        entry = used + cost, next(self._numbers), key
        if place == 0:
            heapq.heapreplace(self._heap, entry)
        else:
            self._heap[place] = entry
            heapq.heapify(self._heap)

    def drop_first(self) -> None:
        """Let the first key go."""
        used, _, _ = heapq.heappop(self._heap)
        self._now = max(self._now, used) if self._heap else 0.0
