"""Servers to be broken: the plain one with two workers, and Ray Serve on two simulated nodes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaos_clients import wait_for

#: A service: where it is, and the ways to break it, by what is said of them.
Faults = dict[str, Callable[[], Any]]
STOPPED_SECONDS = 5.0


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def processes(start: bytes) -> list[int]:
    """Processes whose command begins so."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().startswith(start):
                found.append(int(path.parent.name))
    return sorted(found)


def stop_for_a_while(process: int) -> None:
    """Stop a process, and let it go on; somebody may have ended it meanwhile."""
    os.kill(process, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


@contextmanager
def plain(engine: str) -> Iterator[tuple[str, Faults]]:
    """`adagen-rt serve --workers 2`."""
    port = free_port()
    command = [sys.executable, "-m", "adagen_rt", "serve", engine, "--port", str(port)]
    sizes = ["--workers", "2", "--threads", "1"]
    process = subprocess.Popen([*command, *sizes], stderr=subprocess.DEVNULL)

    def workers() -> list[int]:
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8")
        return [
            int(one)
            for one in text.split()
            if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()
        ]

    def kill(count: int) -> None:
        for one in workers()[:count]:
            os.kill(one, signal.SIGKILL)

    try:
        wait_for(url := f"http://127.0.0.1:{port}")
        time.sleep(5)  # the other one
        yield (
            url,
            {
                "kill -9 of a worker": lambda: kill(1),
                "kill -9 of both": lambda: kill(2),
                f"SIGSTOP of a worker for {STOPPED_SECONDS:g} s": lambda: stop_for_a_while(
                    workers()[0]
                ),
                "SIGHUP": lambda: process.send_signal(signal.SIGHUP),
            },
        )
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ray(engine: str) -> Iterator[tuple[str, Faults]]:
    """Two replicas on two nodes, with a proxy on each."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from ray_cluster import ray_cluster

    with ray_cluster(2, 2) as cluster:
        from ray import serve

        from adagen_rt.serving.ray import Options, build

        def options(**more: Any) -> Any:
            sizes = {"min_replicas": 2, "max_replicas": 2, **more}
            return Options(
                engines=[engine], health_check_period_s=1, health_check_timeout_s=3, **sizes
            )

        def kill(start: bytes, number: int) -> None:
            os.kill(processes(start)[0], number)

        port = free_port()
        http = {"host": "127.0.0.1", "port": port, "request_timeout_s": 10}
        serve.start(proxy_location="EveryNode", http_options=http)
        serve.run(build(options()))
        replica = b"ray::ServeReplica:"
        yield (
            f"http://127.0.0.1:{port}",
            {
                "kill -9 of a replica": lambda: kill(replica, signal.SIGKILL),
                f"SIGSTOP of a replica for {STOPPED_SECONDS:g} s": lambda: stop_for_a_while(
                    processes(replica)[0]
                ),
                "kill -9 of a proxy": lambda: kill(b"ray::ProxyActor", signal.SIGKILL),
                "kill -9 of Serve's controller": lambda: kill(
                    b"ray::ServeController", signal.SIGKILL
                ),
                "from 2 replicas to 3": lambda: serve.run(
                    build(options(min_replicas=3, max_replicas=3))
                ),
                "back to 2, with other options (a rolling update)": lambda: serve.run(
                    build(options(max_batch=8))
                ),
                "a node is removed": lambda: cluster.remove_node(
                    next(iter(cluster.worker_nodes)), allow_graceful=False
                ),
            },
        )
        serve.shutdown()
