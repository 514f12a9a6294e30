"""Calls that are open at once, and whose request begins next.

Who comes beyond the limit takes the place of an idle stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from adagen_rt.serving.http.connections import ConnectionLimits
from adagen_rt.serving.http.starts import Starts


class Guest:
    """An open call.

    Attributes:
        address: Address of the client.
        idle_since: Time since which it has had nothing to do; None while it has.
        evicted: Set when it has to make room.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.idle_since: float | None = None
        self.evicted = asyncio.Event()


class _Request:
    """A request that waits to begin.

    Attributes:
        address: Address of the client.
        held: None if the call has ended meanwhile.
        loop: The event loop.
        begun: Done when it begins.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.held: bytearray | None = bytearray()
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.create_future()

    def begin(self) -> None:
        """Begin, unless the call is just being cancelled."""
        if not self.begun.done():
            self.begun.set_result(None)


class Guests:
    """The open calls, by the limits of connections.

    Args:
        limits: The limits.
    """

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._starts = Starts()
        self._crowds: dict[str, set[Guest]] = {}
        self._count = 0

    @contextmanager
    def enter(self, address: str) -> Iterator[Guest | None]:
        """Let a call in for the block; None where there is no room for it."""
        crowd = self._crowds.setdefault(address, set())
        if len(crowd) >= self._limits.per_address:
            self._evict(crowd)
        elif self._count >= self._limits.total:
            self._evict(max(self._crowds.values(), key=len))
        if len(crowd) >= self._limits.per_address or self._count >= self._limits.total:
            self._forget(address)
            yield None
            return
        guest = Guest(address)
        self._crowds.setdefault(address, crowd).add(guest)
        self._count += 1
        try:
            yield guest
        finally:
            self._leave(guest)

    async def turn(self, guest: Guest) -> None:
        """Wait until a request of a call may begin: a few do in each turn of the event loop."""
        request = _Request(guest.address)
        self._starts.add(request)
        try:
            await request.begun
        finally:
            request.held = None

    def _evict(self, crowd: set[Guest]) -> None:
        """End the stream that has been idle for longest, if there is one."""
        idle = [(guest.idle_since, id(guest), guest) for guest in crowd if guest.idle_since]
        if idle:
            guest = min(idle)[-1]
            guest.evicted.set()
            self._leave(guest)

    def _leave(self, guest: Guest) -> None:
        crowd = self._crowds.get(guest.address, set())
        if guest in crowd:
            crowd.remove(guest)
            self._count -= 1
        self._forget(guest.address)

    def _forget(self, address: str) -> None:
        if not self._crowds.get(address):
            self._crowds.pop(address, None)
