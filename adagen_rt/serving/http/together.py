"""What processes that serve together know of each other: a small file of each, in one folder."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adagen_rt.serving import BatchEngine
from adagen_rt.serving.batching.work import Work
from adagen_rt.serving.http.statistics import Counts, Statistics

#: Seconds after which a process that tells nothing is not expected to do its work.
SILENT_SECONDS = 5.0


class Together:
    """Tells the others how things stand here, and reads what they tell.

    Args:
        folder: Where the files are; it is on this machine.
        statistics: The counts of this process.
    """

    def __init__(self, folder: Path, statistics: Statistics) -> None:
        self._folder, self._statistics = folder, statistics
        self._own = folder / f"{os.getpid()}-{uuid.uuid4().hex}.json"

    def exchange(self, engines: Sequence[BatchEngine]) -> None:
        """Tell of engines, and let them and the statistics know of those of other processes."""
        own = {
            engine.name: {
                "work": asdict(engine.stats().work),
                "counts": self._statistics.own(engine.name).as_json(),
            }
            for engine in engines
        }
        self._write(json.dumps({"time": time.time(), "engines": own}))
        others = self._read()
        self._statistics.elsewhere = {
            name: [Counts.from_json(one["counts"]) for one in _of(name, others)] for name in own
        }
        now = time.time()
        awake = [told for told in others if now - told["time"] < SILENT_SECONDS]
        for engine in engines:
            engine.elsewhere = [Work(**one["work"]) for one in _of(engine.name, awake)]

    def _write(self, text: str) -> None:
        staged = self._own.with_suffix(".tmp")
        with suppress(OSError):  # a full disk leaves the others with what was told before
            staged.write_text(text, encoding="utf-8")
            staged.replace(self._own)

    def _read(self) -> list[dict[str, Any]]:
        """Read the files of the others, of processes that have ended too."""
        found = []
        for path in self._folder.glob("*.json"):
            if path != self._own:
                found.append(json.loads(path.read_text(encoding="utf-8")))
        return found


def _of(name: str, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose what others told of an engine, which each may still be loading."""
    return [one["engines"][name] for one in told if name in one["engines"]]
