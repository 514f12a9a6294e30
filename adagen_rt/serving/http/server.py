"""A uvicorn server that answers while engines warm up, and shuts down in order."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp

from adagen_rt.errors import AdagenError
from adagen_rt.serving.http.app import create_app
from adagen_rt.serving.http.connections import ConnectionLimits
from adagen_rt.serving.http.files_limit import fitted
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.listening import listen_longer, make_config, url_of
from adagen_rt.serving.http.logs import Repeated
from adagen_rt.serving.http.metrics import Metrics
from adagen_rt.serving.http.repository import Repository, Source
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import LOGGER
from adagen_rt.serving.http.tls import Certificate

SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Asks for what has changed; Windows has no such signal.
HANG_UP: int | None = getattr(signal, "SIGHUP", None)
#: Seconds from a second signal to the end of the process, even with running work.
LAST_SECONDS = 2.0
#: How often in as many seconds uvicorn calls `Server.on_tick`.
BEAT_SECONDS, TICKS = 1.0, 10
#: Exit status after a second signal: work was dropped.
DROPPED = 1


class Beside(Protocol):
    """Another server of the application."""

    async def start(self, app: ASGIApp) -> None:
        """Listen."""

    async def stop(self, drop: bool) -> None:
        """End, with ``drop`` at once."""


class Server(uvicorn.Server):
    """Serves engines until it is told to stop.

    The first SIGTERM or SIGINT makes the server not ready, after a delay refuses new work, and ends
    the process when the work under way is done. A second one ends it at once. SIGHUP loads engines
    and files anew that have changed.

    Args:
        sources: Where each engine comes from, by name.
        settings: Limits and tokens.
        limits: Limits of connections.
        certificate: Certificate of TLS; None speaks plain HTTP.
        drain_delay: Seconds from the first signal until new work is refused, for balancers that
            have to notice.
        reloads: What else is called on SIGHUP; an error is logged.
        beat: Called every second, as long as requests are answered.
        besides: Other servers of the same application, on the same event loop.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        settings: Settings,
        limits: ConnectionLimits | None = None,
        certificate: Certificate | None = None,
        drain_delay: float = 0.0,
        reloads: Sequence[Callable[[], object]] = (),
        beat: Callable[[], object] | None = None,
        besides: Sequence[Beside] = (),
    ) -> None:
        limits = fitted(limits or ConnectionLimits(), 1 + len(besides))
        self.fleet = Fleet(sources)
        self.failure: BaseException | None = None
        self.dropped = False
        self._metrics, self._beat = Metrics(), beat
        self._repository = Repository(sources, self.fleet, self._metrics)
        self._loader = threading.Thread(target=self._load, name="load", daemon=True)
        self._log = logging.getLogger(LOGGER)
        self._refused = Repeated(self._log, "the system accepts no connection")
        self._certificate = certificate
        self._drain_delay, self._drain_at = drain_delay, math.inf
        self._draining = self._announced = self._hung_up = False
        self._reloads = [*reloads, *([certificate.reload] if certificate else [])]
        self._reload: asyncio.Task[None] | None = None
        self._besides = besides
        self._app = create_app(self.fleet, settings, self._metrics, self._repository)
        super().__init__(make_config(self._app, limits, certificate))

    def serve_on(self, listener: socket.socket, warm_first: bool = False) -> int:
        """Answer on ``listener`` until told to stop; return the exit status.

        Args:
            listener: A socket that listens.
            warm_first: Whether to accept nothing before all engines are warm, where others do.

        Raises:
            AdagenError: An engine cannot be loaded.
        """
        # Before the first line of the log, after which somebody may end the process.
        with self.capture_signals():
            where = {"url": url_of(listener, self._certificate is not None)}
            self._log.info("listening", extra={"fields": where})
            # A large engine takes minutes to load, during which the process must be able to end.
            self._loader.start()
            while warm_first and self._loader.is_alive() and not self._draining:
                self._loader.join(BEAT_SECONDS)
                self._tell_beat()
            self.run(sockets=[listener])
            self._loader.join(LAST_SECONDS)
            self.fleet.close(drain=not self.dropped)
        if self.failure is not None:
            raise self.failure
        return DROPPED if self.dropped else 0

    @property
    def loading(self) -> bool:
        """Whether an engine is still being loaded, which nothing can interrupt."""
        return self._loader.is_alive() or self._repository.loading

    def _load(self) -> None:
        try:
            self._repository.load_all()
        except BaseException as error:
            self.failure = error
            self.should_exit = True
            return
        if not self.fleet.draining:
            self._log.info("ready", extra={"fields": {"models": self.fleet.loaded}})

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, with one line a second in the log however often the system refuses a file."""
        asyncio.get_running_loop().set_exception_handler(self._note)
        try:
            for other in self._besides:
                await other.start(self._app)
        except AdagenError as error:
            self.failure = error
            self.should_exit = True
        await super().startup(sockets)
        listen_longer(sockets or ())

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and "accept" in context.get("message", ""):
            self._refused.log(error=str(error))
        else:
            loop.default_exception_handler(context)

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to end; uvicorn calls this ten times a second."""
        if counter % TICKS == 0:
            self._tell_beat()
        if self._hung_up and (self._reload is None or self._reload.done()):
            self._hung_up = False
            self._reload = asyncio.create_task(self._load_anew())
        if self._draining:
            if not self._announced:
                # Not in the signal's handler, which may have interrupted another line.
                self._announced = True
                self._log.info("draining", extra={"fields": {"delay": self._drain_delay}})
            if time.monotonic() >= self._drain_at:
                self.fleet.drain()
            if self.fleet.draining and self.fleet.idle:
                self.should_exit = True
        return await super().on_tick(counter)

    def _tell_beat(self) -> None:
        if self._beat is not None:
            self._metrics.sample()
            self._beat()

    async def _load_anew(self) -> None:
        """Load what has changed; what is wrong leaves what is there."""
        self._log.info("reloading")
        for reload in self._reloads:
            try:
                reload()
            except (AdagenError, OSError) as error:
                told = {"fields": {"reason": str(error)}}
                self._log.error("cannot be loaded; what was there stays", extra=told)
        await self._repository.reload()
        self._log.info("reloaded")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; work that is dropped has its answers, in the shape of its API, before that."""
        if self.dropped:
            self.fleet.cancel()
        if self._reload is not None:
            self._reload.cancel()
        others = [other.stop(self.dropped) for other in self._besides]
        await asyncio.gather(super().shutdown(sockets), *others)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals in the block; unlike uvicorn's method, do not raise them again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Any] = dict.fromkeys(SIGNALS, self.handle_exit)
        if HANG_UP is not None:
            handlers[HANG_UP] = self.handle_hang_up
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal, and drop the remaining work at the second."""
        first, self._draining = not self._draining, True
        if first:
            self._drain_at = time.monotonic() + self._drain_delay
            self.fleet.withdraw()
            if not self._drain_delay:
                self.fleet.drain()
            return
        self.fleet.drain()
        self.dropped = True
        self.should_exit = self.force_exit = True
        last = threading.Timer(LAST_SECONDS, os._exit, (DROPPED,))
        last.daemon = True
        last.start()

    def handle_hang_up(self, sig: int, frame: FrameType | None) -> None:
        """Load anew what has changed, at the next turn of the loop."""
        self._hung_up = True
