"""How a loop that runs for hours is stopped without losing work."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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
