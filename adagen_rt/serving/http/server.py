"""A uvicorn server that answers while engines warm up, and shuts down in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.app import create_app
from adagen_rt.serving.http.connections import Connection, ConnectionLimits, Door
from adagen_rt.serving.http.files_limit import fitted
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.logs import Repeated
from adagen_rt.serving.http.metrics import Metrics
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import LOGGER

Loader = Callable[[], BatchEngine]
SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Connections that the system keeps until they are accepted.
BACKLOG = 512
#: Seconds that finished responses have to reach slow clients after all engines' work.
FAREWELL_SECONDS = 10
#: Seconds from a second signal to the end of the process, even with running work.
LAST_SECONDS = 2.0
#: Exit status after a second signal: work was dropped.
DROPPED = 1


class Server(uvicorn.Server):
    """Serves engines until it is told to stop.

    The first SIGTERM or SIGINT makes the server not ready and refuses new work, and ends the
    process when the work under way is done. A second one ends it at once.

    Args:
        loaders: Functions that load and warm up each engine, by name.
        settings: Limits and token.
        limits: Limits of connections.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        settings: Settings,
        limits: ConnectionLimits | None = None,
    ) -> None:
        limits = fitted(limits or ConnectionLimits())
        self.fleet = Fleet(loaders)
        self.failure: BaseException | None = None
        self.dropped = False
        self._metrics = Metrics()
        self._loaders = loaders
        self._loader = threading.Thread(target=self._load, name="load", daemon=True)
        self._log = logging.getLogger(LOGGER)
        self._refused = Repeated(self._log, "the system accepts no connection")
        self._draining = self._announced = False
        config = uvicorn.Config(
            create_app(self.fleet, settings, self._metrics),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # Only uvicorn's h11 parser bounds the head of a request.
            http=partial(Connection, Door(limits)),  # type: ignore[arg-type]
            # Of uvloop, reads could not be made small.
            loop="asyncio",
            timeout_keep_alive=limits.keep_alive_seconds,  # type: ignore[arg-type]
            backlog=BACKLOG,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=FAREWELL_SECONDS,
        )
        super().__init__(config)

    def serve_on(self, listener: socket.socket) -> int:
        """Answer on ``listener`` until told to stop; return the exit status.

        Raises:
            AdagenError: An engine cannot be loaded.
        """
        # Before the first line of the log, after which somebody may end the process.
        with self.capture_signals():
            host, port = listener.getsockname()[:2]
            place = f"[{host}]" if ":" in host else host
            self._log.info("listening", extra={"fields": {"url": f"http://{place}:{port}"}})
            # A large engine takes minutes to load, during which the process must be able to end.
            self._loader.start()
            self.run(sockets=[listener])
            self._loader.join(LAST_SECONDS)
            self.fleet.close(drain=not self.dropped)
        if self.failure is not None:
            raise self.failure
        return DROPPED if self.dropped else 0

    @property
    def loading(self) -> bool:
        """Whether an engine is still being loaded, which nothing can interrupt."""
        return self._loader.is_alive()

    def _load(self) -> None:
        try:
            for name, load in self._loaders.items():
                if self.fleet.draining:
                    return
                engine = load()
                self._metrics.watch(engine)
                self.fleet.add(engine)
                self._log.info("warm", extra={"fields": {"model": name}})
        except BaseException as error:
            self.failure = error
            self.should_exit = True
            return
        self._log.info("ready", extra={"fields": {"models": list(self._loaders)}})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, with one line a second in the log however often the system refuses a file."""
        asyncio.get_running_loop().set_exception_handler(self._note)
        await super().startup(sockets)

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and "accept" in context.get("message", ""):
            self._refused.log(error=str(error))
        else:
            loop.default_exception_handler(context)

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to end; uvicorn calls this ten times a second."""
        if self._draining:
            if not self._announced:
                # Not in the signal's handler, which may have interrupted another line.
                self._announced = True
                self._log.info("draining")
            if self.fleet.idle:
                self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; work that is dropped has its answers, in the shape of its API, before that."""
        if self.dropped:
            self.fleet.cancel()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the block; unlike uvicorn's method, do not raise them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, and drop the remaining work at the second."""
        first, self._draining = not self._draining, True
        self.fleet.drain()
        if first:
            return
        self.dropped = True
        self.should_exit = self.force_exit = True
        last = threading.Timer(LAST_SECONDS, os._exit, (DROPPED,))
        last.daemon = True
        last.start()
