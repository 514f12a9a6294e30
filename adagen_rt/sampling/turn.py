"""Graphs are used by one thread at a time, and in the process that loaded them."""

from __future__ import annotations

import os
import threading
from pickle import PicklingError
from types import TracebackType
from typing import NoReturn

from adagen_rt.errors import ForkedError


class Turn:
    """Held by whoever uses an engine's graphs; others wait.

    Sessions write into buffers that the next call overwrites. A state keeps nothing of these, so
    that two generations may take turns step by step, but not within a step. The holder may take
    the turn again. Threads and device memory do not survive a fork, so that nobody gets the turn
    in a child.

    Args:
        what: Who is used, for errors.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.RLock()
        self._process = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that loaded the graphs."""
        return os.getpid() != self._process

    def check(self) -> None:
        """Refuse a child of the process that loaded the graphs.

        Raises:
            ForkedError: It is one.
        """
        if self.forked:
            raise ForkedError(self._what, self._process)

    def __reduce__(self) -> NoReturn:
        # Pipelines and engines have one, and pickle would name the lock in it.
        raise PicklingError(
            f"{self._what}: a loaded engine does not travel to another process; load it there"
        )

    def __enter__(self) -> None:
        self.check()  # first: who held the lock when the process forked is not here to release it
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
