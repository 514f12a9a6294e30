"""The options that choose who runs an engine's graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from adagen_rt.backends import BACKENDS
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.engine.folder import EngineFolder
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import check_threads, make_pipeline

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
        "--plans",
        type=NamedPath(),
        help="Folder that adagen-rt build --out wrote; default: beside the engine, or the cache.",
    ),
)


@dataclass(frozen=True)
class Execution:
    """Who runs an engine's graphs.

    Attributes:
        threads: CPU threads; None takes all that this process may use.
        backend: The backend.
        provider: Its execution provider.
        plans: Folder of plans that are neither beside the engine nor in the cache.
    """

    threads: int | None
    backend: str
    provider: str | None
    plans: Path | None

    def load(self, engine: EngineFolder) -> Pipeline:
        """Load an engine; see `adagen_rt.load`."""
        return make_pipeline(engine, self.backend, self.threads, self.provider, self.plans)


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
