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

import click

from adagen_rt.engine.folder import EngineFolder, open_engine
from adagen_rt.errors import InputError, MissingExtraError, as_integer
from adagen_rt.pipeline.load import check_threads
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.serving import BatchEngine

TOKEN_VARIABLE = "ADAGEN_TOKEN"
TOKEN = re.compile(r"[!-~]{1,4096}")
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MAX_BATCH, MAX_QUEUE, MAX_PORT = 1024, 100_000, 65535


@click.command()
@click.argument("engines", nargs=-1, required=True, metavar="[NAME=]ENGINE...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, default=8000, show_default=True, help="0 takes a free one.")
@click.option(
    "--max-batch", type=int, default=16, show_default=True, help="Images under way at once."
)
@click.option("--max-queue", type=int, default=64, show_default=True, help="Images that may wait.")
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
def serve(
    context: click.Context,
    engines: tuple[str, ...],
    host: str,
    port: int,
    max_batch: int,
    max_queue: int,
    threads: int | None,
    token_file: Path | None,
    timeout: float,
) -> None:
    """Serve engines over HTTP: KServe v2, OpenAI images, events, metrics, and a page.

    ENGINE is an engine folder or the name of a shipped engine; requests ask for it by its own
    name, or by NAME. The first SIGTERM or SIGINT
    finishes the work under way, a second one stops at once, with exit status 1.
    """
    as_integer("port", port, 0, MAX_PORT)
    as_integer("max-batch", max_batch, 1, MAX_BATCH)
    as_integer("max-queue", max_queue, 1, MAX_QUEUE)
    workers = check_threads(threads)
    if not 0 < timeout < float("inf"):
        raise InputError("timeout", timeout, "seconds above 0")
    token = read_token(token_file)
    # Damaged engines are found before anything listens.
    opened = [open_named(engine) for engine in engines]
    try:
        from adagen_rt.serving.http.logs import log_json
        from adagen_rt.serving.http.server import Server
        from adagen_rt.serving.http.settings import Settings
        from adagen_rt.serving.http.telemetry import LOGGER
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from None
    sizes = {"max_batch": max_batch, "max_queue": max_queue}
    loaders = make_loaders(opened, workers, sizes)
    server = Server(loaders, Settings(token=token, timeout=timeout))
    with listen(host, port) as listener:
        log_json()
        if token is None and host not in LOOPBACK:
            logging.getLogger(LOGGER).warning("open to whoever reaches it: there is no token")
        context.exit(server.serve_on(listener))


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
