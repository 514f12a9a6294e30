"""What Ray Serve and its proxies cost beside the plain server.

Regime: two processes of one thread each behind each server, on this machine's loopback, all
started at once; clients ask for one image after the other. Servers take turns, so that a busy
moment meets them all; medians. `of_plain` is the rate over the plain server's, and `cpu_ms` the
CPU time of all of a server's processes for a request, of Ray those of its cluster, which takes some
(a tenth to a fifth of a core here) when nobody asks too. HAProxy also listens beyond loopback, on
ports 8404 and 9101. Serve's own settings are taken from the environment
(`RAY_SERVE_THROUGHPUT_OPTIMIZED=1`).

    python benchmarks/overhead.py [--ha-proxy] [--clients 4] [--requests 120] [--repeats 9]
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import click
from chaos_clients import from_server
from chaos_services import Service, command_of, plain, processes, ray
from timing import conditions, print_report

TICK = os.sysconf("SC_CLK_TCK")
RAY = (b"ray::", b"raylet", b"gcs_server", b"haproxy")
HEADER = ("server", "images_per_s", "of_plain", "cpu_ms")


def of_ray() -> list[int]:
    """Processes of Ray's cluster."""
    return [one for one in processes(b"") if any(name in command_of(one)[:200] for name in RAY)]


def of_plain() -> list[int]:
    """Processes of the plain server."""
    serving = b"adagen_rt\0serve"
    parents = [one for one in processes(b"") if serving in command_of(one)]
    children = (f"/proc/{one}/task/{one}/children" for one in parents)
    return [
        *parents,
        *(int(one) for path in children for one in Path(path).read_text(encoding="utf-8").split()),
    ]


def cpu_seconds(found: list[int]) -> dict[int, float]:
    """CPU time that each process has had."""
    seconds = {}
    for one in found:
        with suppress(OSError):  # it has ended
            fields = Path(f"/proc/{one}/stat").read_bytes().rpartition(b")")[2].split()
            seconds[one] = (int(fields[11]) + int(fields[12])) / TICK
    return seconds


def spent(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU time between two looks, of processes that were there at both."""
    return sum(seconds - before[one] for one, seconds in after.items() if one in before)


def burst(service: Service, clients: int, requests: int) -> Callable[[], None]:
    """Make a call that has many clients ask a server."""
    ask = from_server(service.ports.url, 120)

    def run() -> None:
        with ThreadPoolExecutor(clients) as pool:
            list(pool.map(ask, range(requests)))

    return run


@click.command()
@click.option("--engine", default="fashion-maskgit", show_default=True)
@click.option("--clients", default=4, show_default=True)
@click.option("--requests", default=120, show_default=True, help="Of each turn.")
@click.option("--repeats", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--ha-proxy", is_flag=True, help="HAProxy in the place of Serve's own proxy.")
def main(engine: str, clients: int, requests: int, repeats: int, ha_proxy: bool) -> None:
    """Measure; a table, and last a line of JSON."""
    seconds: dict[str, list[float]] = {"plain": [], "ray": []}
    cpu: dict[str, list[float]] = {"plain": [], "ray": []}
    with plain([engine]) as one, ray([engine], ha_proxy) as other:
        sides = {
            "plain": (burst(one, clients, requests), of_plain),
            "ray": (burst(other, clients, requests), of_ray),
        }
        for turn in range(repeats + 1):  # the first one warms up
            for name, (run, found) in sides.items():
                before, begin = cpu_seconds(found()), time.perf_counter()
                run()
                if turn:
                    seconds[name].append(time.perf_counter() - begin)
                    cpu[name].append(spent(before, cpu_seconds(found())))
    usual = {name: statistics.median(times) for name, times in seconds.items()}
    rows = [
        (
            name,
            requests / usual[name],
            usual["plain"] / usual[name],
            1e3 * statistics.median(cpu[name]) / requests,
        )
        for name in usual
    ]
    facts = {"engine": engine, "clients": clients, "ha_proxy": ha_proxy, **conditions(1)}
    print_report("overhead", HEADER, rows, facts)


if __name__ == "__main__":
    main()
