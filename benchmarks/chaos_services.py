"""Servers to be broken: ours with two workers, Ray Serve on two simulated nodes, and Triton."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos_clients import wait_for

sys.path.append(str(Path(__file__).parents[1] / "tests"))
STOPPED_SECONDS = 5.0


@dataclass(frozen=True)
class Ports:
    """Ports of loopback on which a service listens."""

    http: int
    grpc: int

    @property
    def url(self) -> str:
        """Where it speaks HTTP."""
        return f"http://127.0.0.1:{self.http}"


@dataclass(frozen=True)
class Service:
    """A service.

    Attributes:
        ports: Where it is.
        faults: Ways to break it, by what is said of them.
    """

    ports: Ports
    faults: Mapping[str, Callable[[], Any]]


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def command_of(process: int) -> bytes:
    """Command of a process; nothing of one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def processes(start: bytes) -> list[int]:
    """Processes whose command begins so."""
    found = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return sorted(one for one in found if command_of(one).startswith(start))


def stop_for_a_while(process: int) -> None:
    """Stop a process, and let it go on; somebody may have ended it meanwhile."""
    os.kill(process, signal.SIGSTOP)
    time.sleep(STOPPED_SECONDS)
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


@contextmanager
def plain(engines: Sequence[str]) -> Iterator[Service]:
    """`adagen-rt serve --workers 2`."""
    ports = Ports(free_port(), free_port())
    command = [sys.executable, "-m", "adagen_rt", "serve", *engines, "--port", str(ports.http)]
    sizes = ["--grpc-port", str(ports.grpc), "--workers", "2", "--threads", "1"]
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
        wait_for(ports.url)
        time.sleep(5)  # the other one
        yield Service(
            ports,
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
def ray(engines: Sequence[str], ha_proxy: bool = False) -> Iterator[Service]:
    """Two replicas on two nodes, with a proxy on each; HAProxy is on the first alone."""
    from ray_cluster import ray_cluster

    with ray_cluster(2, 2, RAY_SERVE_ENABLE_HA_PROXY=str(int(ha_proxy))) as cluster:
        from ray import serve

        from adagen_rt.serving.ray import Options, build

        def options(**more: Any) -> Any:
            sizes = {"min_replicas": 2, "max_replicas": 2, **more}
            return Options(
                engines=list(engines), health_check_period_s=1, health_check_timeout_s=3, **sizes
            )

        def kill(start: bytes, number: int) -> None:
            os.kill(processes(start)[0], number)

        ports = Ports(free_port(), free_port())
        http = {"host": "127.0.0.1", "port": ports.http, "request_timeout_s": 30}
        functions = ["adagen_rt.serving.ray:add_services"]
        grpc = {"port": ports.grpc, "grpc_servicer_functions": functions}
        # of two on one machine, the second would find HAProxy's own ports taken, and start for ever
        location = "HeadOnly" if ha_proxy else "EveryNode"
        serve.start(proxy_location=location, http_options=http, grpc_options=grpc)
        serve.run(build(options()))
        replica = b"ray::ServeReplica:"
        yield Service(
            ports,
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


@contextmanager
def triton(engines: Sequence[str]) -> Iterator[Service]:
    """Triton, with one process for each of an engine's two models."""
    from triton_server import triton_server

    with tempfile.TemporaryDirectory() as folder:
        models = str(Path(folder) / "models")
        command = [sys.executable, "-m", "adagen_rt", "triton-repository", *engines]
        subprocess.run([*command, "--out", models, "--threads", "1"], check=True)
        with triton_server(models, Path(folder)) as server:

            def stub() -> int:
                """Process of the model that answers step by step, of the first engine."""
                (found,) = (
                    one
                    for one in processes(b"")
                    if f"{engines[0]}/1/model.py".encode() in command_of(one)
                )
                return found

            def restart(number: int) -> None:
                server.process.send_signal(number)
                server.process.wait()
                server.start()

            def kill_the_model() -> None:
                os.kill(stub(), signal.SIGKILL)
                time.sleep(STOPPED_SECONDS)
                restart(signal.SIGKILL)  # as a probe would

            yield Service(
                Ports(server.http, server.grpc),
                {
                    f"SIGSTOP of a model's process for {STOPPED_SECONDS:g} s": (
                        lambda: stop_for_a_while(stub())
                    ),
                    "SIGTERM, and started again": lambda: restart(signal.SIGTERM),
                    "kill -9, and started again": lambda: restart(signal.SIGKILL),
                    f"kill -9 of a model's process, started again after {STOPPED_SECONDS:g} s": (
                        kill_the_model
                    ),
                },
            )
