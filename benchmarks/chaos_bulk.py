"""A bulk job that is broken again and again has to make what it makes undisturbed."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Job:
    """A job of two workers.

    Args:
        engine: The engine.
        count: Images.
        size: Images of a shard.
        folder: Where its results go.
    """

    def __init__(self, engine: str, count: int, size: int, folder: Path) -> None:
        self._engine, self._count, self._size, self._folder = engine, count, size, folder

    def _start(self, name: str, **options: Any) -> subprocess.Popen[bytes]:
        sizes = ["--count", str(self._count), "--shard-size", str(self._size), "--quiet"]
        places = ["--out", str(self._folder / name), "--merge", str(self._folder / f"{name}.npz")]
        command = [sys.executable, "-m", "adagen_rt", "bulk", self._engine, *sizes, *places]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*command, "--workers", "2"], **quiet, **options)

    def _finish(self, name: str, **options: Any) -> int:
        with self._start(name, **options) as process:
            return process.wait()

    def hash(self, name: str) -> str:
        """Hash all images."""
        return hashlib.sha256((self._folder / f"{name}.npz").read_bytes()).hexdigest()

    def whole(self) -> float:
        """Make it undisturbed; return the seconds of CPU."""
        before = _cpu_of_children()
        assert self._finish("whole") == 0
        return _cpu_of_children() - before

    def generate(self, most: int = 5000) -> float:
        """Make images by `generate`; return the seconds of CPU of as many as the job has.

        Args:
            most: So many are made, if the job has more.
        """
        count = min(self._count, most)
        command = [sys.executable, "-m", "adagen_rt", "generate", "--engine", self._engine]
        sizes = [
            "--seed",
            "0",
            "--count",
            str(count),
            "--batch-size",
            "64",
            "--threads",
            "1",
            "--quiet",
        ]
        before = _cpu_of_children()
        subprocess.run([*command, *sizes, "--out", str(self._folder / "generated.npz")], check=True)
        return (_cpu_of_children() - before) * self._count / count

    def kill_the_driver(self, times: int, seconds: float) -> bool:
        """Kill it at random moments, begin again, and compare."""
        for _ in range(times):
            with self._start("killed") as process:
                time.sleep(random.uniform(0.3, 1.0) * seconds)
                process.kill()
        return self._finish("killed") == 0 and self.hash("killed") == self.hash("whole")

    def hit_a_worker(self, number: int, seconds: float) -> bool:
        """Send a signal to a worker, and SIGCONT if it is stopped."""
        name = f"signal-{number}"
        with self._start(name) as process:
            time.sleep(seconds)
            children = (
                Path(f"/proc/{process.pid}/task/{process.pid}/children")
                .read_text(encoding="utf-8")
                .split()
            )
            for child in children[-1:]:
                os.kill(int(child), number)
                time.sleep(2)
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGCONT)
            done = process.wait()
        return done == 0 and self.hash(name) == self.hash("whole")

    def fill_the_disk(self) -> bool:
        """Let no file grow beyond half a shard: it ends with an error, and goes on later."""
        shards = (self._folder / "whole").glob("shard-*")
        most = min(path.stat().st_size for path in shards) // 2

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

        refused = self._finish("full", preexec_fn=limit) != 0
        left = list((self._folder / "full").glob("shard-*"))
        went_on = self._finish("full") == 0
        return refused and not left and went_on and self.hash("full") == self.hash("whole")
