"""The sampling parameters as options of a command, made of the rows of `SamplingParams`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from adagen_rt.errors import InputError
from adagen_rt.sampling.params import ROWS, SamplingParams

Command = TypeVar("Command", bound=Callable[..., Any])
#: Short forms of `--schedule`, with their help texts.
SHORT = {
    "static": "Short for --schedule static.",
    "tuned": "Short for --schedule tuned.",
}


def sampling_options(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of some parameters, and hand it one object, ``params``.

    Args:
        names: Fields of `SamplingParams`; none takes all of them.
    """

    def decorate(command: Command) -> Command:
        wanted = [option for option in fields(SamplingParams) if not names or option.name in names]

        @wraps(command)
        def call(*arguments: Any, **given: Any) -> Any:
            values = {option.name: given.pop(option.name) for option in wanted}
            if "schedule" in values:
                named = {name: given.pop(name) for name in SHORT} | {"schedule": values["schedule"]}
                values["schedule"] = _one_schedule(named)
            with _named_as_options():
                return command(*arguments, params=SamplingParams(**values), **given)

        decorated: Any = call
        for option in reversed(wanted):
            if option.name == "schedule":
                for name, text in reversed(SHORT.items()):
                    decorated = click.option(f"--{name}", is_flag=True, help=text)(decorated)
            decorated = _option(option.name, option.default)(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _option(name: str, default: Any) -> Callable[[Any], Any]:
    row = ROWS[name]
    kind: Any = click.Choice(row.choices) if row.choices else row.kind
    return click.option(
        f"--{_option_name(name)}",
        type=kind,
        default=default,
        show_default=default is not None,
        help=row.text,
    )


def _option_name(name: str) -> str:
    return name.replace("_", "-")


@contextmanager
def _named_as_options() -> Iterator[None]:
    """Name options in errors of the block as they are typed here: best_of is --best-of."""
    try:
        yield
    except InputError as error:
        typed = {
            parameter.name: max(parameter.opts, key=len).removeprefix("--")
            for parameter in click.get_current_context().command.params
            if "_" in (parameter.name or "")
        }
        if typed.get(error.field, error.field) == error.field:
            raise
        raise error.renamed(typed[error.field]) from error


def _one_schedule(given: dict[str, Any]) -> Any:
    """The schedule that ``--schedule`` and its short forms name together.

    Raises:
        InputError: They name several.
    """
    source = click.get_current_context().get_parameter_source
    typed = [name for name in given if source(name) is ParameterSource.COMMANDLINE]
    # What is typed wins over a file of options.
    named = {name: given[name] for name in typed or given if given[name]}
    if len(named) > 1:
        words = [f"--{name}" if name in SHORT else f"--{name} {given[name]}" for name in named]
        raise InputError("schedule", " and ".join(words), "one of them")
    return next((name if name in SHORT else value for name, value in named.items()), None)
