"""Engines that are loaded, replaced and unloaded while the server answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial

import anyio

from adagen_rt.errors import StoppedError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.fleet import Fleet
from adagen_rt.serving.http.metrics import Metrics
from adagen_rt.serving.http.telemetry import LOGGER


@dataclass(frozen=True)
class Source:
    """Where an engine comes from.

    Attributes:
        load: Loads and warms it up.
        mark: Tells what would be loaded: another value means another engine. It raises where
            that is broken. None says that nobody knows, so that it is always loaded anew.
    """

    load: Callable[[], BatchEngine]
    mark: Callable[[], Hashable] | None = None


class Repository:
    """Loads engines into a fleet; one that cannot be loaded leaves the one that is there.

    Args:
        sources: Where each engine comes from, by name.
        fleet: Where it goes.
        metrics: Metrics that count what it does.
    """

    def __init__(self, sources: Mapping[str, Source], fleet: Fleet, metrics: Metrics) -> None:
        self._sources = sources
        self._fleet = fleet
        self._metrics = metrics
        self._marks: dict[str, Hashable] = {}
        self._busy = threading.Lock()
        self._log = logging.getLogger(LOGGER)

    @property
    def loading(self) -> bool:
        """Whether an engine is being loaded, which nothing can interrupt."""
        return self._busy.locked()

    def load_all(self) -> None:
        """Load every engine, for the first time; called on a thread."""
        for name in self._sources:
            if self._fleet.draining:
                return
            with self._busy:
                engine = self._make(name)
            self._fleet.add(engine)
            self._log.info("warm", extra={"fields": {"model": name}})

    async def load(self, name: str) -> None:
        """Load an engine beside the one that is there, and let it take its place.

        Raises:
            HTTPError: There is no such engine, it cannot be loaded, or another one is being loaded.
        """
        self._check(name)
        if not self._busy.acquire(blocking=False):
            message = "model: another engine is being loaded"
            raise HTTPError(Fault(503, message, "loading", "model", retry_after=5))
        try:
            # The thread, and not this coroutine, has the lock: it goes on if nobody waits for it.
            engine = await anyio.to_thread.run_sync(
                partial(self._make_and_free, name), abandon_on_cancel=True
            )
        except Exception:
            fields = {"fields": {"model": name}}
            self._log.exception("cannot be loaded; what was there stays", extra=fields)
            message = f"model: {name} cannot be loaded; the server's log has why"
            raise HTTPError(Fault(500, message, "not_loaded", "model")) from None
        if self._fleet.draining:
            engine.close(drain=False)
            raise StoppedError("the server is shutting down")
        # On the event loop, between the engine that a request finds and what it asks of it.
        self._fleet.add(engine)
        self._log.info("loaded", extra={"fields": {"model": name}})

    def unload(self, name: str) -> None:
        """Finish an engine's work and forget it; what is asked of it from now on is refused."""
        self._check(name)
        self._fleet.remove(name)
        self._log.info("unloaded", extra={"fields": {"model": name}})

    async def reload(self) -> None:
        """Load every engine anew whose source has changed; called on SIGHUP."""
        for name in self._sources:
            if name not in self._fleet.loaded:
                continue
            try:
                if await anyio.to_thread.run_sync(self._same, name, abandon_on_cancel=True):
                    self._log.info("unchanged", extra={"fields": {"model": name}})
                    continue
                await self.load(name)
            except HTTPError:
                continue  # the log has it
            except StoppedError:
                return

    def _same(self, name: str) -> bool:
        mark = self._sources[name].mark
        try:
            return mark is not None and mark() == self._marks.get(name)
        except Exception:
            return False  # loading it says what is wrong

    def _check(self, name: str) -> None:
        if name not in self._sources:
            message = f"model: got {name!r:.80}, expected one of {', '.join(self._sources)}"
            raise HTTPError(Fault(404, message, "model_not_found", "model"))
        if self._fleet.draining:
            raise StoppedError("the server is shutting down")

    def _make_and_free(self, name: str) -> BatchEngine:
        try:
            return self._make(name)
        finally:
            self._busy.release()

    def _make(self, name: str) -> BatchEngine:
        source = self._sources[name]
        mark = source.mark() if source.mark is not None else None
        engine = source.load()
        self._marks[name] = mark
        self._metrics.watch(engine)
        return engine
