"""The engines that a server offers, from the first being loaded to the last being closed."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from adagen_rt.errors import InputError, StoppedError
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.faults import Fault, HTTPError

T = TypeVar("T")


class Fleet:
    """Engines by name; each is added when it is warm.

    Args:
        names: Engines that will be served; the server is ready when all of them are warm.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._engines: dict[str, BatchEngine | None] = {}
        for name in names:
            if name in self._engines:
                raise InputError("engine", name, "engines of different names")
            self._engines[name] = None
        self._unloaded = set[str]()
        # Engines that finish their work after another has taken their place.
        self._leaving = set[BatchEngine]()
        self._withdrawn = self._draining = False

    @classmethod
    def of(cls, *engines: BatchEngine) -> Fleet:
        """Make a fleet of warm engines; their owner closes them."""
        fleet = cls(engine.name for engine in engines)
        for engine in engines:
            fleet.add(engine)
        return fleet

    def add(self, engine: BatchEngine) -> None:
        """Add a warm engine; one of its name finishes its work and is closed.

        Where requests are answered already, this is called on their event loop. A request that
        found the engine before and asks it only now is asked again of the new one, by `ask`.
        """
        before, self._engines[engine.name] = self._engines[engine.name], engine
        self._unloaded.discard(engine.name)
        self._retire(before)

    def remove(self, name: str) -> None:
        """Let an engine finish its work and close it; called on the event loop."""
        before, self._engines[name] = self._engines[name], None
        self._unloaded.add(name)
        self._retire(before)

    def _retire(self, engine: BatchEngine | None) -> None:
        if engine is None:
            return
        self._leaving.add(engine)

        def leave() -> None:
            engine.close(drain=True)
            self._leaving.discard(engine)

        threading.Thread(target=leave, name=f"retire-{engine.name}", daemon=True).start()

    @property
    def engines(self) -> list[BatchEngine]:
        """Engines that are warm."""
        return [engine for engine in self._engines.values() if engine is not None]

    @property
    def loaded(self) -> list[str]:
        """Names of the engines that are warm."""
        return [name for name, engine in self._engines.items() if engine is not None]

    @property
    def states(self) -> dict[str, str]:
        """Why each engine takes no requests, by name; nothing for one that does."""
        told = {}
        for name, engine in self._engines.items():
            missing = "unloaded" if name in self._unloaded else "warming up"
            told[name] = missing if engine is None else "" if engine.alive else "makes no steps"
        return told

    @property
    def ready(self) -> bool:
        """Whether every engine that was not unloaded is warm, and requests are admitted."""
        alive = [engine for engine in self.engines if engine.alive]
        return not self._withdrawn and len(alive) == len(self._engines) - len(self._unloaded)

    @property
    def stalled(self) -> float:
        """Seconds for which an engine has had work and made no step, the longest of all."""
        return max((engine.stalled for engine in self.engines), default=0.0)

    @property
    def draining(self) -> bool:
        """Whether no more requests are admitted."""
        return self._draining

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or running."""
        snapshots = [engine.stats() for engine in self._all]
        return not any(stats.queued or stats.running for stats in snapshots)

    def get(self, name: str | None) -> BatchEngine:
        """Find the engine of that name; None means the only one.

        Raises:
            HTTPError: No engine has the name, it is not warm yet, or the server is stopping.
        """
        if name is None and len(self._engines) == 1:
            name = next(iter(self._engines))
        if name is None:
            given = ", ".join(self._engines)
            raise HTTPError(Fault(400, f"model: missing, expected one of {given}", field="model"))
        if name not in self._engines:
            given = ", ".join(self._engines)
            message = f"model: got {name!r:.80}, expected one of {given}"
            raise HTTPError(Fault(404, message, "model_not_found", "model"))
        if self._draining:
            raise StoppedError("the server is shutting down")
        engine = self._engines[name]
        if name in self._unloaded:
            message = f"model: {name} is not loaded"
            raise HTTPError(Fault(404, message, "model_not_found", "model"))
        if engine is None:
            message = f"model: {name} is warming up"
            raise HTTPError(Fault(503, message, "warming_up", "model", retry_after=1))
        return engine

    async def ask(self, name: str | None, work: Callable[[BatchEngine], Awaitable[T]]) -> T:
        """Do work with the engine of a name, again if another takes its place meanwhile.

        Args:
            name: The engine's name; None means the only one.
            work: Asks an engine; reading the request may take several turns of the event loop.

        Raises:
            HTTPError: As `get`.
            StoppedError: The server is stopping.
        """
        while True:
            engine = self.get(name)
            try:
                return await work(engine)
            except StoppedError:
                if self.get(name) is engine:
                    raise

    def withdraw(self) -> None:
        """Be not ready any more, though requests are still admitted."""
        self._withdrawn = True

    def drain(self) -> None:
        """Admit no more requests; queued and running jobs go on."""
        self._withdrawn = self._draining = True

    def cancel(self) -> None:
        """Cancel all that is queued or running."""
        self.drain()
        for engine in self._all:
            engine.cancel()

    def close(self, drain: bool) -> None:
        """Stop every engine: with ``drain`` after its work is done, else before the next step."""
        self.drain()
        for engine in self._all:
            engine.close(drain=drain)

    @property
    def _all(self) -> list[BatchEngine]:
        return [*self.engines, *list(self._leaving)]
