"""How uvicorn listens: its configuration, and where that is."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from adagen_rt.serving.http.connections import Connection, ConnectionLimits, Door
from adagen_rt.serving.http.tls import Certificate, Porch

#: Connections that the system keeps until they are accepted, and that are accepted in one turn of
#: the event loop: all of them at once would hold it for longer than a probe may wait.
BACKLOG, ACCEPTED = 512, 16
#: Bytes of a request's head; thousands of fields take long to parse.
HEAD_BYTES = 16 << 10
#: Seconds that finished responses have to reach slow clients after all engines' work.
FAREWELL_SECONDS = 10


def make_config(
    app: ASGIApp, limits: ConnectionLimits, certificate: Certificate | None
) -> uvicorn.Config:
    """Make uvicorn's configuration for connections under a door."""
    door = Door(limits)
    protocol: Any = partial(Connection, door)
    if certificate is not None:
        protocol = partial(Porch, door, certificate, Connection)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # Only uvicorn's h11 parser bounds the head of a request.
        http=protocol,
        h11_max_incomplete_event_size=HEAD_BYTES,
        # Of uvloop, reads could not be made small.
        loop="asyncio",
        timeout_keep_alive=limits.keep_alive_seconds,  # type: ignore[arg-type]
        # Of asyncio, the number of those in one turn; `listen_longer` keeps more waiting.
        backlog=ACCEPTED,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=FAREWELL_SECONDS,
    )


def listen_longer(sockets: Iterable[socket.socket]) -> None:
    """Let the system keep more connections waiting than are accepted at once."""
    for listener in sockets:
        listener.listen(BACKLOG)


def url_of(listener: socket.socket, tls: bool) -> str:
    """Name the place where a socket listens."""
    if listener.family == getattr(socket, "AF_UNIX", None):
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    return f"http{'s' * tls}://{place}:{port}"
