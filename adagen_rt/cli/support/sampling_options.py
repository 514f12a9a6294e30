"""The sampling parameters as options of a command, made of the rows of `SamplingParams`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

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
                short = {name: given.pop(name) for name in SHORT}
                values["schedule"] = _one_schedule(values["schedule"], short)
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
        f"--{name.replace('_', '-')}",
        type=kind,
        default=default,
        show_default=default is not None,
        help=row.text,
    )


def _one_schedule(schedule: Any, short: dict[str, bool]) -> Any:
    """Return the schedule that options and short forms name together."""
    named = [f"--{name}" for name, is_set in short.items() if is_set]
    if schedule is not None:
        named.append(f"--schedule {schedule}")
    if len(named) > 1:
        raise InputError(named[0], f"{' and '.join(named[1:])} as well", "one of them")
    return next((name for name, is_set in short.items() if is_set), schedule)
