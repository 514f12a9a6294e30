"""Several server processes behind one listening socket, and the one that keeps them."""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any

from adagen_rt.errors import AdagenError, StoppedError
from adagen_rt.files.leftovers import temporary_folder
from adagen_rt.serving.http.metrics import FOLDER
from adagen_rt.serving.http.server import BEAT_SECONDS, DROPPED, HANG_UP, SIGNALS
from adagen_rt.serving.http.telemetry import LOGGER

#: Seconds without a sign of life until a worker is replaced.
SILENT_SECONDS = 30.0
#: Seconds until a worker is started again that ended soon after its start.
PAUSE_SECONDS = 1.0

#: Serves on a socket, with a function that is called every second, and perhaps only when it is
#: warm; returns the exit status.
Serve = Callable[[socket.socket, Callable[[], None], bool], int]


class Workers:
    """Keeps so many processes that serve; one that dies or hangs is replaced.

    They accept from one socket, so that who is busy or stopped takes no new connection. Signals
    are passed on to all of them.

    Args:
        make: Makes, in a worker, what serves; it travels there.
        given: What it is called with, before the worker's number, from 0, which one that takes
            the place of another has from it.
        count: Processes.
        kept: A socket that keeps a port for them until all have ended.
    """

    def __init__(
        self,
        make: Callable[..., Serve],
        given: tuple[Any, ...],
        count: int,
        kept: socket.socket | None = None,
    ) -> None:
        self._make, self._given, self._count = make, given, count
        self._kept = kept
        self._log = logging.getLogger(LOGGER)
        self._workers: dict[connection.Connection, _Worker] = {}
        self._signals: list[int] = []
        self._ending = 0
        self._dropped = False

    def serve_on(self, listener: socket.socket) -> int:
        """Serve on a socket that listens, until told to stop; return the exit status.

        Raises:
            AdagenError: A worker cannot load an engine.
        """
        with _metrics_folder(), self._handle_signals():
            try:
                for number in range(self._count):
                    self._start(listener, number, warm_first=False)
                self._keep(listener)
            finally:
                self._kill()
                if self._kept is not None:
                    self._kept.close()
        return DROPPED if self._dropped else 0

    def _start(self, listener: socket.socket, number: int, warm_first: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        here, there = spawn.Pipe(duplex=False)
        arguments = (self._make, (*self._given, number), listener, there, warm_first)
        process = spawn.Process(target=_serve, args=arguments, name="adagen-worker")
        process.start()
        there.close()  # so that its end is noticed
        self._workers[here] = _Worker(process, number, replaces=warm_first)

    def _keep(self, listener: socket.socket) -> None:
        """Replace workers until all have ended that were told to."""
        while self._workers:
            self._pass_signals()
            ready: list[Any] = connection.wait(list(self._workers), BEAT_SECONDS)
            for pipe in ready:
                worker = self._workers[pipe]
                try:
                    told = pipe.recv()
                except (EOFError, OSError):
                    self._lose(pipe, listener)
                    continue
                if isinstance(told, AdagenError):
                    if not worker.replaces:
                        raise told
                    # The others go on with what they have loaded.
                    told = {"fields": {"reason": str(told)}}
                    self._log.error("a worker cannot load what it serves", extra=told)
                worker.seen = time.monotonic()
            for worker in self._workers.values():
                if time.monotonic() - worker.seen > SILENT_SECONDS:
                    told = {"fields": {"process": worker.process.pid}}
                    self._log.error("a worker gives no sign of life", extra=told)
                    worker.process.kill()

    def _lose(self, pipe: connection.Connection, listener: socket.socket) -> None:
        """Forget a worker that ended, and start another in its place."""
        worker = self._workers.pop(pipe)
        worker.process.join()
        _forget_metrics(worker.process.pid)
        status = worker.process.exitcode
        if self._ending:
            self._dropped |= status != 0
            return
        told = {"fields": {"process": worker.process.pid, "status": status}}
        self._log.error("a worker has ended; another takes its place", extra=told)
        if time.monotonic() - worker.began < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS)
        # Until it is warm, the others answer.
        self._start(listener, worker.number, warm_first=True)

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        numbers = [*SIGNALS, *([HANG_UP] if HANG_UP is not None else [])]

        def note(number: int, frame: FrameType | None) -> None:
            self._signals.append(number)

        before = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            self._ending += number in SIGNALS
            for worker in self._workers.values():
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid or 0, number)

    def _kill(self) -> None:
        for worker in self._workers.values():
            worker.process.kill()
            worker.process.join()


class _Worker:
    def __init__(self, process: SpawnProcess, number: int, replaces: bool) -> None:
        self.process, self.number, self.replaces = process, number, replaces
        self.began = time.monotonic()
        # Nobody knows how long the imports of the first second take.
        self.seen = math.inf


@contextmanager
def _metrics_folder() -> Iterator[None]:
    """Make the folder of the metrics that all workers count in, and remove killed servers'."""
    with temporary_folder(Path(tempfile.gettempdir()), "metrics") as folder:
        os.environ[FOLDER] = str(folder)
        try:
            yield
        finally:
            del os.environ[FOLDER]


def _forget_metrics(process: int | None) -> None:
    """Count no more what a process has under way; what it has done stays counted."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(process, os.environ[FOLDER])  # type: ignore[no-untyped-call]


def _serve(
    make: Callable[..., Serve], given: tuple[Any, ...], listener: Any, pipe: Any, warm_first: bool
) -> None:
    """Serve, in a worker."""
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C comes from who keeps the workers, and only once

    def beat() -> None:
        try:
            pipe.send(None)
        except OSError:  # who keeps the workers is gone
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        status = make(*given)(listener, beat, warm_first)
    except AdagenError as error:
        pipe.send(error)
        status = 2
    except OSError as error:
        pipe.send(StoppedError(str(error)))
        status = 2
    logging.shutdown()
    os._exit(status)  # a library that loads an engine would not survive an orderly end
