"""Options from a file: ``--config run.yaml``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.errors import InputError, needs_extra

Command = TypeVar("Command", bound=Callable[..., Any])
#: Where a context keeps what a file has besides options.
APART = "adagen_rt.config"


def config_option(command: Command, apart: Sequence[str] = ()) -> Command:
    """Give a command ``--config``, whose file has its other options.

    Args:
        command: The command.
        apart: What the file may have besides options; `given_apart` returns it.
    """
    return click.option(
        "--config",
        type=NamedPath(),
        is_eager=True,
        expose_value=False,
        callback=partial(_apply, tuple(apart)),
        help="YAML or JSON file of options by their names; the command line wins.",
    )(command)


def given_apart(context: click.Context) -> dict[str, Any]:
    """Return what the file of ``--config`` has besides options."""
    found: dict[str, Any] = context.meta.get(APART, {})
    return found


def _apply(
    apart: tuple[str, ...], context: click.Context, parameter: click.Parameter, path: Path | None
) -> None:
    """Take what the file says as the defaults of the other options."""
    if path is None:
        return
    options = {
        option.removeprefix("--"): other
        for other in context.command.params
        for option in other.opts
        if option.startswith("--") and other is not parameter
    }
    content = _read(path)
    context.meta[APART] = {name: content.pop(name) for name in apart if name in content}
    defaults = {}
    for key, value in content.items():
        other = options.get(str(key).replace("_", "-"))
        if other is None:
            known = ", ".join((*apart, *options))
            raise InputError("config", key, f"options of {context.info_name}: {known}")
        defaults[str(other.name)] = _value(str(key), value, other)
    context.default_map = defaults


def _read(path: Path) -> dict[Any, Any]:
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if path.suffix.lower() == ".json" else _read_yaml(text)
    except ValueError as error:
        raise InputError("config", str(path), f"valid text ({error})") from None
    if not isinstance(content, dict):
        raise InputError("config", str(path), "names of options with their values")
    return content


def _read_yaml(text: str) -> Any:
    with needs_extra("yaml", "PyYAML"):
        import yaml
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def _value(key: str, value: Any, option: click.Parameter) -> Any:
    """A value as it would stand on the command line."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, (str, int, float)) for one in values):
        raise InputError(key, value, "a word or a number")
    if option.multiple:
        return [str(one) for one in values]
    if isinstance(value, list):
        raise InputError(key, value, "one value")
    return value if isinstance(value, bool) else str(value)
