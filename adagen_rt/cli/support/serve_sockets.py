"""The sockets at which `adagen-rt serve` listens."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adagen_rt.errors import InputError


@contextmanager
def listen(given: dict[str, Any]) -> Iterator[socket.socket]:
    """Open the socket that the options name, which listens."""
    path = given["unix_socket"]
    if path is not None:
        with listen_at(path) as listener:
            yield listener
        return
    with open_port(given["host"], given["port"]) as listener:
        yield listener


def open_port(host: str, port: int) -> socket.socket:
    """Listen at an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


@contextmanager
def listen_at(path: Path) -> Iterator[socket.socket]:
    """Listen on a Unix socket of this user alone; one that an ended server left is replaced.

    Raises:
        InputError: The path is too long, is no socket, or is somebody else's that listens.
    """
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise InputError("unix-socket", str(path), "a path where nothing is")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            if _answers(path):
                raise InputError("unix-socket", str(path), "a socket on which nobody listens")
            path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(str(path))
            finally:
                os.umask(before)
        except OSError as error:
            if "too long" in str(error):
                raise InputError("unix-socket", str(path), "a shorter path") from None
            raise
        listener.listen()
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def keep_grpc_port(given: dict[str, Any]) -> socket.socket | None:
    """Keep the port of gRPC for workers, which all listen there; None without one.

    Raises:
        InputError: The system does not spread calls over several sockets.
        OSError: The port is not free.
    """
    host, port = given["host"], given["grpc_port"]
    if port is None:
        return None
    if sys.platform != "linux":
        raise InputError("grpc-port", "set", "one of --workers on this system")
    # Shared ports can be shared with a stranger; this one was nobody's.
    with open_port(host, port) as free:
        port = free.getsockname()[1]
    kept = socket.socket(free.family)
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    kept.bind((host, port))
    return kept
