"""gRPC's server, beside uvicorn on the same event loop."""

from __future__ import annotations

import logging
from typing import Any

import grpc
from starlette.types import ASGIApp

from adagen_rt.errors import InputError
from adagen_rt.serving.grpc.calls import Application
from adagen_rt.serving.grpc.service import Service
from adagen_rt.serving.http.connections import ConnectionLimits
from adagen_rt.serving.http.listening import FAREWELL_SECONDS
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import LOGGER
from adagen_rt.serving.http.tls import Certificate

#: Calls of one connection at once; more of them wait.
MAX_CALLS = 128
#: Metadata of a call, in bytes.
MAX_METADATA = 16 << 10
#: Seconds after which a connection without calls is closed; clients open it again when they call.
IDLE_SECONDS = 60
#: Seconds of silence after which a client is asked whether it is there, and that it has to answer.
PING_SECONDS, PONG_SECONDS = 60, 20
#: Bit of messages that are not compressed: a small message may decompress to a huge one.
UNCOMPRESSED = 1
MILLISECONDS = 1000


class GrpcServer:
    """Listens for calls, and answers them by an application.

    Args:
        host: Address to listen on.
        port: Port; 0 takes a free one.
        settings: The limits that requests have.
        limits: The limits of connections.
        certificate: Certificate of TLS; None speaks plain gRPC.
        shared: Whether other processes listen on the same port, among which Linux spreads
            connections.

    Attributes:
        port: The port on which it listens, once it has started.
    """

    def __init__(
        self,
        host: str,
        port: int,
        settings: Settings,
        limits: ConnectionLimits | None = None,
        certificate: Certificate | None = None,
        shared: bool = False,
    ) -> None:
        self.port = port
        self._shared = shared
        self._host, self._settings = host, settings
        self._limits, self._certificate = limits or ConnectionLimits(), certificate
        self._server: Any = None
        self._service: Service | None = None

    async def start(self, app: ASGIApp) -> None:
        """Listen.

        Raises:
            InputError: Somebody else listens there, or nobody can.
        """
        scheme = "grpcs" if self._certificate else "grpc"
        self._service = Service(Application(app), self._settings, self._limits, scheme)
        self._server = grpc.aio.server(options=self._options())
        self._server.add_generic_rpc_handlers((self._service,))
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self.port = self._listen(f"{host}:{self.port}")
        except RuntimeError:
            expected = f"one that is free on {self._host}"
            raise InputError("grpc-port", self.port, expected) from None
        await self._server.start()
        where = {"url": f"{scheme}://{host}:{self.port}"}
        logging.getLogger(LOGGER).info("listening", extra={"fields": where})

    async def stop(self, drop: bool) -> None:
        """End: streams when what they have under way is done, all at once with ``drop``."""
        if self._server is None or self._service is None:
            return
        self._service.stop()
        await self._server.stop(None if drop else FAREWELL_SECONDS)

    def _listen(self, place: str) -> int:
        if self._certificate is None:
            return int(self._server.add_insecure_port(place))
        return int(self._server.add_secure_port(place, _credentials(self._certificate)))

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.max_receive_message_length", self._settings.body_bytes),
            ("grpc.compression_enabled_algorithms_bitset", UNCOMPRESSED),
            ("grpc.max_metadata_size", MAX_METADATA),
            ("grpc.absolute_max_metadata_size", MAX_METADATA),
            ("grpc.max_concurrent_streams", MAX_CALLS),
            ("grpc.max_allowed_incoming_connections", self._limits.total),
            ("grpc.server_handshake_timeout_ms", int(self._limits.head_seconds * MILLISECONDS)),
            ("grpc.max_connection_idle_ms", IDLE_SECONDS * MILLISECONDS),
            ("grpc.keepalive_time_ms", PING_SECONDS * MILLISECONDS),
            ("grpc.keepalive_timeout_ms", PONG_SECONDS * MILLISECONDS),
            # Two servers on one port would share its calls without a word.
            ("grpc.so_reuseport", int(self._shared)),
        ]


def _credentials(certificate: Certificate) -> Any:
    """Make credentials that follow a certificate whose files are replaced."""
    told = [certificate.pem]

    def latest() -> Any:
        if certificate.pem == told[0]:
            return None
        told[0] = certificate.pem
        return _pair(certificate)

    return grpc.dynamic_ssl_server_credentials(_pair(certificate), latest)


def _pair(certificate: Certificate) -> Any:
    return grpc.ssl_server_certificate_configuration([certificate.pem])
