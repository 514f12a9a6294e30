"""`adagen-rt serve` in a process of its own, for the benchmarks that ask it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

#: Seconds that the process has to end after SIGTERM.
END_SECONDS = 120


@dataclass
class ServerProcess:
    """A server that is ready.

    Attributes:
        process: The process.
        place: Host and port.
        levels: Lines of its log by level.
        errors: Some lines above warnings.
    """

    process: subprocess.Popen[str]
    place: tuple[str, int] = ("", 0)
    levels: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read the log up to the line that says where it listens and the one that says ready."""
        for line in self._lines():
            if "url" in line:
                url = urlparse(line["url"])
                assert url.hostname is not None
                assert url.port is not None
                self.place = url.hostname, url.port
            if line["message"] == "ready":
                return
        raise SystemExit("the server has ended before it was ready")

    def read_on(self) -> None:
        """Read the rest, which goes nowhere but has to be read."""
        for line in self._lines():
            level = line.get("level", "none")
            self.levels[level] += 1
            if level in ("error", "critical", "none") and len(self.errors) < 20:
                self.errors.append(json.dumps(line)[:2000])

    def _lines(self) -> Iterator[dict]:
        assert self.process.stderr is not None
        for text in self.process.stderr:
            try:
                yield json.loads(text)
            except ValueError:
                yield {"message": text}

    def resident(self) -> float:
        """Return its memory in MB."""
        return self._status("VmRSS") / 1e3

    def files(self) -> int:
        """Return the number of its open files."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def threads(self) -> int:
        """Return the number of its threads."""
        return round(self._status("Threads"))

    def _status(self, name: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return float(status.split(f"{name}:")[1].split()[0])

    def end(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.terminate()
        return self.process.wait(END_SECONDS)


@contextmanager
def server_process(engine: str, options: Sequence[str]) -> Iterator[ServerProcess]:
    """Start a server of one engine on a free port, and end it."""
    command = [sys.executable, "-m", "adagen_rt", "serve", engine, "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        server = ServerProcess(process)
        server.read()
        reader = threading.Thread(target=server.read_on)
        reader.start()
        yield server
    finally:
        process.terminate()
        process.wait(END_SECONDS)
    reader.join()
