"""How a command ends when somebody ends it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what clears away after Ctrl-C does so after this too."""


class Interrupted(click.ClickException):
    """One line on stderr, and the exit status that shells know of a signal.

    Args:
        signal: What came.
        kept: What is left of the work, in words.
    """

    def __init__(self, signal: KeyboardInterrupt, kept: str = "") -> None:
        terminated = isinstance(signal, Terminated)
        self.exit_code = 143 if terminated else 130  # type: ignore[misc]
        word = "Terminated" if terminated else "Interrupted"
        super().__init__(f"{word}: {kept}" if kept else word)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(self.format_message(), err=True, file=file)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the block as Ctrl-C does; a second one ends the process at once.

    Nothing is changed where somebody else takes the signal.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def terminate(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
