"""The options that choose the backend of an engine's graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from adagen_rt.backends import BACKENDS

Command = TypeVar("Command", bound=Callable[..., Any])


def backend_options(command: Command) -> Command:
    """Give a command ``--backend`` and ``--provider``."""
    backend = click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default=BACKENDS[0],
        show_default=True,
        help="Who runs the networks; the tensorrt ones run plans made by "
        "adagen-rt build, torch runs the graphs on a GPU with PyTorch.",
    )
    provider = click.option(
        "--provider",
        help="Execution provider of onnxruntime: cpu (the default), cuda, or a plugin such as "
        "nv-tensorrt-rtx.",
    )
    return backend(provider(command))
