"""How work of hours is stopped without losing it: by a time limit, or by a signal."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Deadline:
    """A time limit that begins to run when it is made.

    Args:
        minutes: The limit; None for none.
    """

    def __init__(self, minutes: float | None) -> None:
        self._minutes, self._started = minutes, time.monotonic()

    @property
    def minutes_left(self) -> float | None:
        """Minutes that are left, 0 for none; None without a limit."""
        if self._minutes is None:
            return None
        return max(0.0, self._minutes - (time.monotonic() - self._started) / 60)

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.minutes_left == 0


class Stop:
    """Whether somebody asked the loop to end after its current step."""

    asked: int | None = None

    def __bool__(self) -> bool:
        return self.asked is not None


@contextmanager
def stopping() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM within the block into a request; a second one ends it.

    When the block is over the signal comes as it would have come at first, so the caller sees
    the same end after the work has been saved. Outside of the main thread nothing changes.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in earlier.items():
            signal.signal(number, handler)

    def ask(number: int, frame: FrameType | None) -> None:
        restore()
        stop.asked = number
        print("\nstopping after this step; once more stops at once", file=sys.stderr)

    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()
    if stop.asked is not None:
        signal.raise_signal(stop.asked)
