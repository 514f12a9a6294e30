"""A process of its own for what is timed, so that each side has its own peak of memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

Calls = Mapping[str, Callable[[], object]]


class Worker:
    """Holds contenders in a process, and runs one of them when told to.

    The process begins at once; entering the context waits until it is ready.

    Args:
        make: Gives the contenders by name; called in the process, so a top-level function
            or a ``partial`` of one.

    Attributes:
        value: What the last call gave.
        peak: The process's peak of resident memory so far, in GB.
        cpu: CPU seconds of the last call, of all its threads together.
    """

    value: Any
    peak: float
    cpu: float

    def __init__(self, make: Callable[[], Calls]) -> None:
        context = get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        self._process.start()
        # Ours alone must keep it open, or the end of the process would go unnoticed.
        theirs.close()

    def __enter__(self) -> Worker:
        self._ours.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ours.close()
        self._process.join()

    def call(self, name: str) -> None:
        """Run one contender to its end; ``value`` is what it gave.

        Raises:
            EOFError: The process has died; what it said is on stderr.
        """
        self._ours.send(name)
        self.value, self.peak, self.cpu = self._ours.recv()


def _serve(pipe: Connection, make: Callable[[], Calls]) -> None:
    contenders = make()
    pipe.send(None)
    while True:
        try:
            name = pipe.recv()
        except EOFError:
            return
        begin = time.process_time()
        value = contenders[name]()
        pipe.send((value, _peak(), time.process_time() - begin))


def _peak() -> float:
    """The most memory that was resident, in GB.

    Not from ``getrusage``: its peak starts from that of the process that started this one.
    """
    return _status("VmHWM:")


def resident() -> float:
    """Memory of this process that is resident, in GB."""
    return _status("VmRSS:")


def _status(field: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e9
