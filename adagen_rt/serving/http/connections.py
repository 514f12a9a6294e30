"""Connections of the server: how many there may be, and how long each may keep others waiting.

uvicorn closes a connection that is idle between two requests, and nothing else. Here a connection
has to send the head of its request in time and to read its answer, and there are never so many of
them that a probe is not answered.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from adagen_rt.serving.http.clients import client_of
from adagen_rt.serving.http.faults import Fault, respond
from adagen_rt.serving.http.logs import Repeated
from adagen_rt.serving.http.paths import PROBES
from adagen_rt.serving.http.starts import HELD_BYTES, Starts, is_probe
from adagen_rt.serving.http.telemetry import LOGGER

#: Bytes that are parsed in one turn of the loop: small chunks take a thousand times their bytes.
READ_BYTES = 4096
#: Connections beyond the limit, on which probes alone are answered.
RESERVE = 16
#: Seconds that these have to ask.
RESERVE_SECONDS = 2.0
#: Seconds between two looks for connections that are overdue.
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of connections.

    Attributes:
        total: Connections at once.
        per_address: Connections from one address.
        head_seconds: Time that a client has to send the head of a request.
        keep_alive_seconds: Time that a connection may be idle between two requests.
        write_seconds: Time for which a client may read nothing of what waits for it.
    """

    total: int = 1000
    per_address: int = 500
    head_seconds: float = 10.0
    keep_alive_seconds: float = 10.0
    write_seconds: float = 20.0


class Guest(Protocol):
    """A connection, as a door sees it.

    Attributes:
        address: Address of the client.
        since: Time at which it began to wait for a request.
        transport: Its transport.
    """

    address: str
    since: float
    transport: asyncio.Transport

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""

    @property
    def waiting(self) -> bool:
        """Whether it has no request that is not answered."""

    def overdue(self, now: float, head_seconds: float, limits: ConnectionLimits) -> bool:
        """Tell whether it keeps the server waiting for too long."""


class Door:
    """The connections there are; who comes beyond the limit takes the place of an idle one.

    Args:
        limits: The limits.

    Attributes:
        limits: The limits.
        starts: Those whose requests wait to begin.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.starts = Starts()
        self._crowds: dict[str, set[Guest]] = {}
        # In the order in which they came.
        self._reserve: dict[Guest, None] = {}
        self._count = 0
        self._crowded = Repeated(logging.getLogger(LOGGER), "too many connections")
        self._look: asyncio.TimerHandle | None = None

    def enter(self, connection: Guest) -> bool:
        """Note a connection; tell whether there is room for it."""
        crowd = self._crowds.setdefault(connection.address, set())
        if len(crowd) >= self.limits.per_address:
            self._evict(crowd)
        elif self._count >= self.limits.total:
            self._evict(max(self._crowds.values(), key=len))
        admitted = len(crowd) < self.limits.per_address and self._count < self.limits.total
        if admitted:
            self._crowds.setdefault(connection.address, crowd).add(connection)
            self._count += 1
        else:
            self._crowded.log(address=connection.address)
            self._squeeze(connection)
        self._keep_looking(connection.loop)
        return admitted

    def leave(self, connection: Guest) -> None:
        """Forget a connection."""
        self._reserve.pop(connection, None)
        crowd = self._crowds.get(connection.address, set())
        if connection in crowd:
            crowd.remove(connection)
            self._count -= 1
        if not crowd:
            self._crowds.pop(connection.address, None)

    def _evict(self, crowd: set[Guest]) -> None:
        """Close the connection that has waited longest without a request, if there is one."""
        idle = [connection for connection in crowd if connection.waiting]
        if idle:
            self._drop(min(idle, key=lambda connection: connection.since))

    def _squeeze(self, connection: Guest) -> None:
        """Add to the reserve, in which the last to come push out the first."""
        self._reserve[connection] = None
        if len(self._reserve) > RESERVE:
            self._drop(next(iter(self._reserve)))

    def _drop(self, connection: Guest) -> None:
        self.leave(connection)  # its transport tells of the end only later
        connection.transport.abort()

    def _keep_looking(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._look is None:
            self._look = loop.call_later(LOOK_SECONDS, self._look_around, loop)

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close what is overdue."""
        self._look, now, limits = None, loop.time(), self.limits
        for connection in [one for crowd in self._crowds.values() for one in crowd]:
            if connection.overdue(now, limits.head_seconds, limits):
                self._drop(connection)
        for connection in list(self._reserve):
            if connection.overdue(now, RESERVE_SECONDS, limits):
                self._drop(connection)
        if self._count or self._reserve:
            self._keep_looking(loop)


class Connection(H11Protocol):
    """One connection of uvicorn's, under the eyes of a door.

    Attributes:
        address: Address of the client.
        since: Time at which it began to wait for a request.
        held: What it has sent of a request that waits to begin.
    """

    def __init__(self, door: Door, **options: Any) -> None:
        super().__init__(**options)
        self._door = door
        self._stuck: float | None = None
        self._between = False
        self.address = ""
        self.held: bytearray | None = None
        self.since = self.loop.time()

    @property
    def waiting(self) -> bool:
        """Whether it has no request that is not answered."""
        return self.held is None and (self.cycle is None or self.cycle.response_complete)

    def overdue(self, now: float, head_seconds: float, limits: ConnectionLimits) -> bool:
        """Tell whether it sends no request, or reads no answer, for too long."""
        idle = limits.keep_alive_seconds if self.cycle is not None else 0.0
        if self.waiting and now - self.since > head_seconds + idle:
            return True
        left = self.transport.is_closing() and self.transport.get_write_buffer_size()
        if not (self.flow.write_paused or left):
            self._stuck = None
        elif self._stuck is None:
            self._stuck = now
        return self._stuck is not None and now - self._stuck > limits.write_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Come in, or into the reserve."""
        super().connection_made(transport)
        # The size of one read of asyncio's transport, or of what decrypts for it.
        reader: Any = getattr(transport, "_ssl_protocol", transport)
        reader.max_size = READ_BYTES
        self.address = client_of(self.client[0] if self.client else None)
        if not self._door.enter(self):
            self.app = only_probes(self.app)

    def data_received(self, data: bytes) -> None:
        """Begin a request when it is its turn; a health check has it at once."""
        if self.held is not None:
            self.held += data
            if len(self.held) > HELD_BYTES:
                self.flow.pause_reading()
        elif not self.waiting or is_probe(data):
            super().data_received(data)
        else:
            self.held = bytearray(data)
            self._unset_keepalive_if_required()
            self._door.starts.add(self)

    def begin(self) -> None:
        """Begin the request that was held."""
        assert self.held is not None  # who has left does not begin
        held, self.held = bytes(self.held), None
        self.flow.resume_reading()
        if held:
            super().data_received(held)
        else:
            self.handle_events()

    def handle_events(self) -> None:
        """Go on with what was sent; a request that was sent before the last answer has a turn."""
        if self._between and self.conn.trailing_data[0]:
            self.held = bytearray()
            self._unset_keepalive_if_required()
            self._door.starts.add(self)
        else:
            super().handle_events()

    def connection_lost(self, exc: Exception | None) -> None:
        """Go."""
        self.held = None
        self._door.leave(self)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.since = self.loop.time()
        self._between = True
        super().on_response_complete()
        self._between = False


def only_probes(app: ASGIApp) -> ASGIApp:
    """Make an application that answers probes, and refuses everything else."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in PROBES:
            await app(scope, receive, send)
            return
        message = "connections: there are too many, from this address or in all"
        fault = Fault(503, message, "too_many_connections", retry_after=1, close=True)
        await respond(scope["path"], fault)(scope, receive, send)

    return answer
