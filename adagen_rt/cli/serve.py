"""`adagen-rt serve`: engines behind HTTP."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from adagen_rt.backends import DEVICE_BACKENDS
from adagen_rt.bulk.devices import read_devices, see_only
from adagen_rt.cli.support.config import given_apart
from adagen_rt.cli.support.serve_engines import GivenEngine, execution_of, read_engines
from adagen_rt.cli.support.serve_options import AUTO, ENGINES, check_numbers, serve_options
from adagen_rt.cli.support.serve_sockets import keep_grpc_port, listen, open_port
from adagen_rt.cli.support.serve_tokens import read_tokens
from adagen_rt.cli.support.throughput import count_workers
from adagen_rt.errors import InputError, needs_extra
from adagen_rt.pipeline.load import check_threads
from adagen_rt.system import available_threads

if TYPE_CHECKING:
    from adagen_rt.serving.grpc.server import GrpcServer
    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.server import Server
    from adagen_rt.serving.http.settings import Settings
    from adagen_rt.serving.http.tls import Certificate
    from adagen_rt.serving.http.workers import Workers

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.argument("engines", nargs=-1, metavar="[NAME=]ENGINE...")
@serve_options
@click.pass_context
def serve(context: click.Context, /, engines: tuple[str, ...], **given: Any) -> None:
    """Serve engines over HTTP and gRPC: KServe v2, OpenAI images, events, metrics, and a page.

    ENGINE is an engine folder or the name of a shipped engine; requests ask for it by its own
    name, or by NAME. The first SIGTERM or SIGINT
    finishes the work under way, a second one stops at once, with exit status 1. SIGHUP loads
    engines, tokens and certificates anew that have changed.
    """
    check_numbers(given)
    check_threads(given["threads"])
    check_extra(given["grpc_port"] is not None)
    from adagen_rt.serving.http.logs import log_json
    from adagen_rt.serving.http.pauses import shorten_pauses
    from adagen_rt.serving.http.server import Server
    from adagen_rt.serving.http.telemetry import LOGGER

    tokens = read_tokens(given["token_file"])
    written = given_apart(context).get(ENGINES, ())
    opened = read_engines(engines, written, given)
    given["workers"] = read_workers(opened, given)
    server = make_workers(engines, written, given) or make_alone(opened, given)
    with listen(given) as listener:
        log_json()
        shorten_pauses()
        local = given["unix_socket"] is not None or given["host"] in LOOPBACK
        if not tokens and not local:
            logging.getLogger(LOGGER).warning("open to whoever reaches it: there is no token")
        status = server.serve_on(listener)
    if isinstance(server, Server) and server.loading:
        leave(status)
    context.exit(status)


def check_extra(grpc: bool) -> None:
    """Refuse to serve without the packages that it takes."""
    with needs_extra("grpc" if grpc else "serve"):
        import adagen_rt.serving.http.server

        if grpc:
            import adagen_rt.serving.grpc.server  # noqa: F401


def read_workers(engines: dict[str, GivenEngine], given: dict[str, Any]) -> int | None:
    """Give the number of processes: as asked for, or as the engines run best on this machine."""
    if given["workers"] != AUTO:
        return given["workers"]  # type: ignore[no-any-return]
    execution = execution_of(given)
    if (execution.backend, execution.provider) != ("onnxruntime", None):
        expected = "a number: what is best is measured on ONNX Runtime's CPU alone"
        raise InputError("workers", AUTO, expected)
    if given["model_control"]:
        raise InputError("workers", AUTO, "a number with --model-control")
    return count_workers(one.opened for one in engines.values())


def make_alone(engines: dict[str, GivenEngine], given: dict[str, Any]) -> Server:
    """Make a server in this process."""
    take_device(given, 0)
    return make_server(engines, given)


def make_workers(typed: Sequence[str], written: Any, given: dict[str, Any]) -> Workers | None:
    """Make what keeps several processes, with their share of the threads; None for one.

    Raises:
        InputError: Options that only one process can have.
    """
    devices = read_devices(given["devices"], execution_of(given))
    count = given["workers"] or len(devices) or 1
    if count < len(devices):
        raise InputError("workers", count, f"at least {len(devices)}, one a device")
    if count == 1:
        return None
    if given["model_control"]:
        raise InputError("model-control", "set", f"one of --workers, not {count}")
    from adagen_rt.serving.http.workers import Workers

    connections = max(1, given["max_connections"] // count)
    shares = {**given, "workers": count, "max_connections": connections}
    if given["backend"] not in DEVICE_BACKENDS:
        shares["threads"] = given["threads"] or max(1, available_threads() // count)
    kept = keep_grpc_port(given)
    if kept is not None:
        shares["grpc_port"] = kept.getsockname()[1]
    return Workers(serve_in_worker, (typed, written, shares), count, kept)


def serve_in_worker(
    typed: Sequence[str], written: Any, given: dict[str, Any], number: int
) -> Callable[[socket.socket, Callable[[], None], bool], int]:
    """Make what serves in the worker of a number, and tells every second that it does."""
    from adagen_rt.serving.http.logs import log_json
    from adagen_rt.serving.http.pauses import shorten_pauses

    log_json()
    take_device(given, number)
    opened = read_engines(typed, written, given)

    def serve_on(listener: socket.socket, beat: Callable[[], None], warm_first: bool) -> int:
        server = make_server(opened, given, beat)
        shorten_pauses()
        return server.serve_on(listener, warm_first)

    return serve_on


def take_device(given: dict[str, Any], number: int) -> None:
    """Let the process of the worker of a number see its GPU alone, if the options name some."""
    devices = read_devices(given["devices"], execution_of(given))
    if devices:
        see_only(devices[number % len(devices)], os.environ)


def make_server(
    engines: dict[str, GivenEngine],
    given: dict[str, Any],
    beat: Callable[[], None] | None = None,
) -> Server:
    """Make the server that the options describe."""
    from adagen_rt.serving.http.repository import Source
    from adagen_rt.serving.http.server import Server
    from adagen_rt.serving.http.settings import Settings
    from adagen_rt.serving.http.tokens import Tokens

    tokens = Tokens(read_tokens(given["token_file"]))
    settings = Settings(
        tokens=tokens,
        timeout=given["timeout"],
        request_cost=given["max_cost"],
        allowed_hosts=(*given["allowed_hosts"], given["host"]),
        model_control=given["model_control"],
        event_keep_alive=given["event_keep_alive"] or None,
    )

    def reload_tokens() -> None:
        tokens.replace(read_tokens(given["token_file"]))

    limits, found = connection_limits(given), certificate(given)
    return Server(
        {name: Source(engine.load, engine.mark) for name, engine in engines.items()},
        settings,
        limits,
        found,
        given["drain_delay"],
        reloads=[reload_tokens],
        beat=beat,
        besides=grpc_servers(given, settings, limits, found),
    )


def grpc_servers(
    given: dict[str, Any],
    settings: Settings,
    limits: ConnectionLimits,
    certificate: Certificate | None,
) -> list[GrpcServer]:
    """Make the server of gRPC, if the options name its port.

    Raises:
        OSError: The port is not free.
    """
    host, port = given["host"], given["grpc_port"]
    if port is None:
        return []
    from adagen_rt.serving.grpc.server import GrpcServer

    shared = (given["workers"] or 1) > 1
    if not shared:
        # gRPC would say so only after the engines have begun to load.
        with open_port(host, port):
            pass
    return [GrpcServer(host, port, settings, limits, certificate, shared)]


def connection_limits(given: dict[str, Any]) -> ConnectionLimits:
    """Return the limits of connections of each server; those of a socket have no addresses."""
    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.files_limit import fitted

    total = given["max_connections"]
    most = total if given["unix_socket"] is not None else max(1, total // 2)
    limits = ConnectionLimits(total, given["max_connections_per_address"] or most)
    return fitted(limits, servers=1 if given["grpc_port"] is None else 2)


def certificate(given: dict[str, Any]) -> Certificate | None:
    """Load the certificate, if the options name one."""
    from adagen_rt.serving.http.tls import Certificate

    found, key = given["tls_certificate"], given["tls_key"]
    if found is None and key is not None:
        raise InputError("tls-key", str(key), "--tls-certificate beside it")
    return None if found is None else Certificate(found, key)


def leave(status: int) -> NoReturn:
    """End the process at once: a library that loads an engine would not survive its orderly end."""
    logging.shutdown()
    os._exit(status)
