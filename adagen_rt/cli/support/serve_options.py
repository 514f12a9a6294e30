"""The options of `adagen-rt serve`, a row each, and the check of those that are numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from adagen_rt.cli.support.backend_options import OPTIONS
from adagen_rt.cli.support.config import config_option
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.errors import InputError, as_integer
from adagen_rt.extent import MAX_SIDE

Command = TypeVar("Command", bound=Callable[..., Any])
TOKEN_VARIABLE = "ADAGEN_TOKEN"
#: Name of the engines in the file of ``--config``.
ENGINES = "engines"


@dataclass(frozen=True)
class Number:
    """An option that is a number.

    Attributes:
        name: Its name without dashes.
        default: What holds without it; None where the text says what does.
        low: Smallest value.
        high: Largest value.
        text: What it does.
    """

    name: str
    default: int | float | None
    low: int | float
    high: int | float
    text: str

    def option(self) -> Callable[[Command], Command]:
        """Make the option; its range is checked by `check_numbers`, which says it in one line."""
        kind = float if isinstance(self.default, float) else int
        shown = self.default is not None
        return click.option(
            f"--{self.name}", type=kind, default=self.default, show_default=shown, help=self.text
        )

    def check(self, value: int | float | None) -> None:
        """Refuse a number that is out of range."""
        if value is None:
            return
        if not isinstance(self.default, float):
            as_integer(self.name, value, int(self.low), int(self.high))
        elif not (math.isfinite(value) and self.low <= value <= self.high):
            expected = "seconds above 0" if self.low else f"seconds from 0 to {self.high}"
            raise InputError(self.name, value, expected)


MANY, MOST_COST = 100_000, 1 << 40
LEAST_SECONDS, FOREVER = 1e-6, float("inf")

#: In the place of a number of processes: what is best on this machine.
AUTO, MOST_WORKERS = "auto", 256


class WorkerCount(click.ParamType):  # type: ignore[type-arg]
    """A number of processes, or `AUTO`."""

    name = f"integer|{AUTO}"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> int | str:
        """See click.

        Raises:
            InputError: It is neither.
        """
        text = str(value).strip()
        if text == AUTO:
            return AUTO
        if not text.isdecimal() or isinstance(value, bool):
            raise InputError("workers", text, f"a number of processes, or {AUTO}")
        return as_integer("workers", int(text), 1, MOST_WORKERS)


#: Every option that is a number, in the order of the help.
NUMBERS = (
    Number("port", 8000, 0, 65535, "0 takes a free one."),
    Number("grpc-port", None, 0, 65535, "Also speak gRPC there; 0 takes a free one."),
    Number("max-batch", 16, 1, 1024, "Images under way at once, in each process."),
    Number("max-queue", 64, 1, MANY, "Images that may wait, in each process."),
    Number(
        "max-cost",
        8192,
        1,
        MOST_COST,
        "Cost of one request: images x best-of x refine x steps x area (1: the engine's own).",
    ),
    Number("max-queue-cost", 32768, 1, MOST_COST, "Cost of all that may wait."),
    Number("max-side", MAX_SIDE, 1, MAX_SIDE, "Longest side of images, where there are sizes."),
    Number(
        "cache-mb",
        0,
        0,
        1 << 20,
        "Megabytes of images that each engine keeps for who asks for the same again; 0 keeps none.",
    ),
    Number("max-connections", 1000, 1, MANY, "Connections at once."),
    Number(
        "max-connections-per-address",
        None,
        1,
        MANY,
        "Connections from one address; default: half of all.",
    ),
    Number(
        "timeout",
        60.0,
        LEAST_SECONDS,
        FOREVER,
        "Seconds until an image that is not done is given up.",
    ),
    Number(
        "event-keep-alive",
        15.0,
        0,
        3600,
        "Seconds of silence after which a stream of events shows that it lives; 0 never.",
    ),
    Number(
        "drain-delay",
        0.0,
        0,
        3600,
        "Seconds for which requests are still served after SIGTERM, while the server says that it "
        "is not ready.",
    ),
)
OTHERS = (
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option(
        "--unix-socket", type=NamedPath(), help="Listen on this socket instead of an address."
    ),
    click.option(
        "--tls-certificate",
        type=NamedPath(),
        help="File of a PEM certificate and those that lead to its authority; speak TLS.",
    ),
    click.option(
        "--tls-key", type=NamedPath(), help="File of its key; default: the certificate's file."
    ),
    click.option(
        "--allowed-host",
        "allowed_hosts",
        multiple=True,
        help="A name by which requests may call this server, besides localhost and addresses; "
        "may be repeated; * allows any.",
    ),
    click.option(
        "--token-file",
        type=NamedPath(),
        help=f"File with a bearer token that requests must carry; or set {TOKEN_VARIABLE}.",
    ),
    click.option(
        "--model-control",
        is_flag=True,
        help="Let clients load and unload the engines, and choose the log's levels.",
    ),
    click.option(
        "--workers",
        type=WorkerCount(),
        help="Processes, each with all engines and a share of the threads; auto takes as many as "
        "`bench --throughput` found best for the engines, or finds out. Default: 1, or one a "
        "device.",
    ),
    *OPTIONS,
    click.option(
        "--devices", help="Numbers of GPUs, such as 0,1: a process for each, which sees no other."
    ),
)


def serve_options(command: Command) -> Command:
    """Give a command these options, and ``--config``, whose file may name engines too."""
    numbers = [number.option() for number in NUMBERS]
    for option in reversed((*OTHERS[:1], *numbers, *OTHERS[1:])):
        command = option(command)
    return config_option(command, apart=(ENGINES,))


def check_numbers(given: Mapping[str, Any]) -> None:
    """Refuse numbers that are out of their range."""
    for number in NUMBERS:
        number.check(given.get(number.name.replace("-", "_")))
