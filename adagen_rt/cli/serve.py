"""`adagen-rt serve`: engines behind HTTP."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.errors import InputError, MissingExtraError, as_integer
from adagen_rt.pipeline.load import check_threads
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.serving import BatchEngine

TOKEN_VARIABLE = "ADAGEN_TOKEN"
TOKEN = re.compile(r"[!-~]{1,4096}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Smallest and largest number of each option that is one.
RANGES = {
    "port": (0, 65535),
    "max-batch": (1, 1024),
    "max-queue": (1, 100_000),
    "max-cost": (1, 1 << 40),
    "max-queue-cost": (1, 1 << 40),
    "max-connections": (1, 100_000),
    "max-connections-per-address": (1, 100_000),
}


@click.command()
@click.argument("engines", nargs=-1, required=True, metavar="[NAME=]ENGINE...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--max-batch", type=int, default=16, show_default=True, help="Images under way at once."
)
@click.option("--max-queue", type=int, default=64, show_default=True, help="Images that may wait.")
@click.option(
    "--max-cost",
    type=int,
    default=8192,
    show_default=True,
    help="Cost of one request: images x best-of x refine x steps.",
)
@click.option(
    "--max-queue-cost",
    type=int,
    default=32768,
    show_default=True,
    help="Cost of all that may wait.",
)
@click.option(
    "--max-connections", type=int, default=1000, show_default=True, help="Connections at once."
)
@click.option(
    "--max-connections-per-address",
    type=int,
    help="Connections from one address; default: half of all.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    help="A name by which requests may call this server, besides localhost and addresses; "
    "may be repeated; * allows any.",
)
@click.option("--threads", type=int, help="CPU threads; default: all that are available.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help=f"File with a bearer token that requests must carry; or set {TOKEN_VARIABLE}.",
)
@click.option(
    "--timeout",
    type=float,
    default=60.0,
    show_default=True,
    help="Seconds until an image that is not done is given up.",
)
@click.pass_context
def serve(context: click.Context, /, engines: tuple[str, ...], host: str, **given: Any) -> None:
    """Serve engines over HTTP: KServe v2, OpenAI images, events, metrics, and a page.

    ENGINE is an engine folder or the name of a shipped engine; requests ask for it by its own
    name, or by NAME. The first SIGTERM or SIGINT
    finishes the work under way, a second one stops at once, with exit status 1.
    """
    check_numbers(given)
    workers = check_threads(given["threads"])
    token = read_token(given["token_file"])
    # Damaged engines are found before anything listens.
    opened = [open_named(engine) for engine in engines]
    try:
        from adagen_rt.serving.http.connections import ConnectionLimits
        from adagen_rt.serving.http.logs import log_json
        from adagen_rt.serving.http.server import Server
        from adagen_rt.serving.http.settings import Settings
        from adagen_rt.serving.http.telemetry import LOGGER
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from None
    settings = Settings(
        token=token,
        timeout=given["timeout"],
        request_cost=given["max_cost"],
        allowed_hosts=(*given["allowed_hosts"], host),
    )
    total = given["max_connections"]
    limits = ConnectionLimits(total, given["max_connections_per_address"] or max(1, total // 2))
    sizes = {name: given[name] for name in ("max_batch", "max_queue", "max_queue_cost")}
    server = Server(make_loaders(opened, workers, sizes), settings, limits)
    with listen(host, given["port"]) as listener:
        log_json()
        if token is None and host not in LOOPBACK:
            logging.getLogger(LOGGER).warning("open to whoever reaches it: there is no token")
        status = server.serve_on(listener)
    if server.loading:
        leave(status)
    context.exit(status)


def check_numbers(given: dict[str, Any]) -> None:
    """Refuse numbers that are out of their range."""
    for name, (low, high) in RANGES.items():
        value = given[name.replace("-", "_")]
        if value is not None:
            as_integer(name, value, low, high)
    if not 0 < given["timeout"] < float("inf"):
        raise InputError("timeout", given["timeout"], "seconds above 0")


def leave(status: int) -> NoReturn:
    """End the process at once: a library that loads an engine would not survive its orderly end."""
    logging.shutdown()
    os._exit(status)


def open_named(given: str) -> EngineFolder:
    """Open an engine that is given as ENGINE or as NAME=ENGINE."""
    name, found, engine = given.partition("=")
    if not found or Path(given).exists():
        return open_engine(given)
    opened = open_engine(engine)
    return replace(opened, manifest=opened.manifest.with_name(name))


def make_loaders(
    opened: Sequence[EngineFolder], threads: int, sizes: dict[str, int]
) -> dict[str, Callable[[], BatchEngine]]:
    """Make functions that load and warm up each engine, by name."""
    loaders: dict[str, Callable[[], BatchEngine]] = {}
    for engine in opened:
        name = engine.manifest.name
        if name in loaders:
            raise InputError("ENGINE", name, "different names; NAME=ENGINE gives another one")
        loaders[name] = partial(_warm, engine, threads, sizes)
    return loaders


def _warm(opened: EngineFolder, threads: int, sizes: dict[str, int]) -> BatchEngine:
    """Load and warm up an engine that was checked when it was opened."""
    return BatchEngine(StepwisePipeline(opened, threads=threads), **sizes)


def read_token(path: Path | None) -> str | None:
    """Read the token of ``--token-file``, else of the environment, else None."""
    if path is None:
        token, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    else:
        token, source = path.read_bytes().decode("ascii", "replace"), "token-file"
    if token is None:
        return None
    # A header carries visible ASCII; a client could not send any other token.
    if not TOKEN.fullmatch(token.strip()):
        raise InputError(source, "something else", "one line of visible ASCII characters")
    return token.strip()


def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
