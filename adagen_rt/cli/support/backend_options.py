"""The options that choose who runs an engine's graphs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from adagen_rt.backends import BACKENDS, PRECISIONS, Execution
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.pipeline.load import check_threads

Command = TypeVar("Command", bound=Callable[..., Any])

#: Every option, in the order of the help.
OPTIONS = (
    click.option("--threads", type=int, help="CPU threads; default: all that are available."),
    click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default=BACKENDS[0],
        show_default=True,
        help="Who runs the networks; the tensorrt ones run plans made by "
        "adagen-rt build, torch runs the graphs on a GPU with PyTorch.",
    ),
    click.option(
        "--provider",
        help="Execution provider of onnxruntime: cpu (the default), cuda, or a plugin such as "
        "nv-tensorrt-rtx.",
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        help="Number format of the backbone's products: fp32 (the default), or bf16 with the "
        "backend openvino on processors that have it.",
    ),
    click.option(
        "--plans",
        type=NamedPath(),
        help="Folder that adagen-rt build --out wrote; default: beside the engine, or the cache.",
    ),
)


def backend_options(command: Command) -> Command:
    """Give a command these options, and hand it one object, ``execution``."""

    @wraps(command)
    def call(*arguments: Any, **given: Any) -> Any:
        named = {name: given.pop(name) for name in Execution.__dataclass_fields__}
        check_threads(named["threads"])
        return command(*arguments, execution=Execution(**named), **given)

    decorated: Any = call
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
