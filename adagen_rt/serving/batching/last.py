"""Engines that nobody closed when the program ends."""

from __future__ import annotations

import atexit
import weakref
from typing import Protocol


class Ends(Protocol):
    """Something with a thread."""

    def end_soon(self) -> None:
        """End the thread, and wait for it."""


_open: weakref.WeakSet[Ends] = weakref.WeakSet()


def end_with_program(engine: Ends) -> None:
    """Have an engine's thread end before the libraries that it uses are torn down."""
    _open.add(engine)


@atexit.register
def _end_all() -> None:
    for engine in list(_open):
        engine.end_soon()
