"""Requests that begin: a few in each turn of the event loop, addresses in turns.

The work of a request's beginning takes a thousand times that of its bytes. If all that have arrived
began at once, a probe would wait for all of them, and so would clients of other addresses; and who
asks and leaves would cost as much as who stays.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from adagen_rt.serving.http.paths import PROBES

#: Requests that begin in one turn of the loop.
STARTED = 2
#: Bytes that are kept of one that waits to begin; the system keeps the rest.
HELD_BYTES = 1 << 16
_PROBES = tuple(f"GET {path} ".encode() for path in PROBES)


def is_probe(data: bytes) -> bool:
    """Tell whether a request is a health check, which never waits."""
    return data.startswith(_PROBES)


class Starter(Protocol):
    """A connection whose request waits to begin.

    Attributes:
        address: Address of the client.
        held: What it has sent; None if it has left.
    """

    address: str
    held: bytearray | None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""

    def begin(self) -> None:
        """Begin the request."""


class Starts:
    """Connections whose requests wait to begin; those of each address in the order they came."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Starter]] = {}
        self._due = False

    def add(self, connection: Starter) -> None:
        """Let a request wait for its beginning."""
        self._waiting.setdefault(connection.address, deque()).append(connection)
        self._keep_going(connection.loop)

    def _keep_going(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and not self._due:
            self._due = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = False
        # Before they begin: an error in one must not keep the others waiting.
        found = [self._next() for _ in range(STARTED)]
        self._keep_going(loop)
        for connection in found:
            if connection is not None:
                connection.begin()

    def _next(self) -> Starter | None:
        """Take the first connection that has not left, of the address whose turn it is."""
        while self._waiting:
            address, line = next(iter(self._waiting.items()))
            connection = line.popleft()
            # The others of this address come after those of all other addresses.
            del self._waiting[address]
            if line:
                self._waiting[address] = line
            if connection.held is not None:
                return connection
        return None
