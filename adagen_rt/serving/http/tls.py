"""TLS: a certificate that can be replaced, and clients that never end their handshake.

asyncio shows a connection to its protocol only after the handshake, so that nobody could count, or
end, those that send nothing. Here they come in first.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adagen_rt.errors import InputError
from adagen_rt.serving.http.clients import client_of
from adagen_rt.serving.http.connections import Connection, ConnectionLimits, Door


class Certificate:
    """A certificate with its key, of files that may be replaced while the server answers.

    Args:
        certificate: File of the certificate and those that lead to its authority, PEM.
        key: File of its key, PEM and not encrypted; None where the certificate's file has it.

    Attributes:
        context: What handshakes use.
        pem: Content of both files, the key's first, as they were last loaded.

    Raises:
        InputError: The files are no certificate and its key.
    """

    def __init__(self, certificate: Path, key: Path | None = None) -> None:
        self._files = certificate, key
        self.context = self._load()
        self.pem = self._read()

    def reload(self) -> None:
        """Take what the files are now; where they are wrong, what was loaded stays.

        Raises:
            InputError: The files are no certificate and its key.
        """
        self._load()
        self.context.load_cert_chain(*self._files)
        self.pem = self._read()

    def _read(self) -> tuple[bytes, bytes]:
        certificate, key = self._files
        return (key or certificate).read_bytes(), certificate.read_bytes()

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # A password would be asked for on the terminal.
            context.load_cert_chain(*self._files, password="")
        except OSError as error:  # of the system, or of OpenSSL, which has a reason
            named = " and ".join(str(file) for file in self._files if file is not None)
            reason = getattr(error, "reason", None) or error.strerror
            expected = f"a PEM certificate and its key ({reason})"
            raise InputError("tls-certificate", named, expected) from None
        return context


class Porch(asyncio.Protocol):
    """A connection before the end of its handshake, under the eyes of a door.

    Args:
        door: The door.
        certificate: What the handshake uses.
        make: Makes the connection that comes after it.

    Attributes:
        address: Address of the client.
        since: Time at which it came.
        transport: Its transport.
    """

    #: It has no request yet.
    waiting = True

    def __init__(
        self, door: Door, certificate: Certificate, make: Callable[..., Connection], **options: Any
    ) -> None:
        self._door = door
        self._certificate = certificate
        self._connection = make(door, **options)
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._early, self._lost = bytearray(), False
        self.address = ""
        self.since = self._loop.time()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop."""
        return self._loop

    def overdue(self, now: float, head_seconds: float, limits: ConnectionLimits) -> bool:
        """Tell whether its handshake takes too long."""
        return now - self.since > head_seconds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in, and begin the handshake."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.pause_reading()  # the handshake reads
        peer = transport.get_extra_info("peername")
        self.address = client_of(peer[0] if isinstance(peer, tuple) else None)
        self._door.enter(self)
        self._task = self._loop.create_task(self._shake_hands())

    async def _shake_hands(self) -> None:
        try:
            made = await self._loop.start_tls(
                self.transport,
                self,
                self._certificate.context,
                server_side=True,
                ssl_handshake_timeout=self._door.limits.head_seconds,
            )
        except (OSError, asyncio.CancelledError):  # what clients do is no fault of the server
            made = None
        self._door.leave(self)
        if made is None or self._lost:
            self.transport.abort()
            return
        made.set_protocol(self._connection)
        self._connection.connection_made(made)
        if self._early:
            self._connection.data_received(bytes(self._early))

    def data_received(self, data: bytes) -> None:
        """Keep what comes with the end of the handshake."""
        self._early += data

    def connection_lost(self, exc: Exception | None) -> None:
        """Go."""
        self._lost = True
        self._door.leave(self)
