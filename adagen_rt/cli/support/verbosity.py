"""How much a command says on stderr; results on stdout are not touched by it."""

from __future__ import annotations

import logging
from typing import Any

import click

from adagen_rt.progress import silence

#: Notes are INFO, details DEBUG.
LOGGER = logging.getLogger("adagen_rt.cli")
#: Where a context keeps what was asked for.
META = "adagen_rt.verbosity"


class _Echo(logging.Handler):
    """Prints messages to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        click.echo(self.format(record), err=True)


def with_verbosity(command: click.Command) -> click.Command:
    """Give a command, and those under it, ``--quiet`` and ``--verbose``."""
    if isinstance(command, click.Group):
        for below in command.commands.values():
            with_verbosity(below)
    elif all(parameter.name != "quiet" for parameter in command.params):
        for name, text in (
            ("quiet", "Say nothing but results and errors: no bars, no notes."),
            ("verbose", "Say more: what is loaded, each batch, and where an error comes from."),
        ):
            command.params.append(_flag(name, text))
    return command


def _flag(name: str, text: str) -> click.Option:
    flags = (f"--{name}", f"-{name[0]}")
    return click.Option(flags, is_flag=True, expose_value=False, callback=_note, help=text)


def _note(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    asked = context.meta.setdefault(META, {})
    asked[parameter.name] = value
    _set(bool(asked.get("quiet")), bool(asked.get("verbose")))


def _set(quiet: bool, verbose: bool) -> None:
    """Set up this process."""
    silence(quiet)
    if not LOGGER.handlers:
        LOGGER.addHandler(_Echo())
        # A server has handlers of its own for everything.
        LOGGER.propagate = False
    LOGGER.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
