"""What clients see while something is killed, stopped or replaced.

Regime: a shipped engine on the CPU, one thread a process, everything on this machine's loopback.
Four clients ask for one image after the other, once each, and compare it with that of `generate`;
the fault comes after a fifth of the time. `failed` has HTTP statuses, or `broken` where a
connection broke or gave no answer within `--timeout`; `failed_until_s` is the time from the fault
to the last of these. A row of bulk is a job that was broken, went on, and was compared with an
undisturbed one. Ray needs the extra `ray`, and Triton nvidia-pytriton (docs/triton.md); "full disk"
is a limit of the size of a file.

    python benchmarks/chaos.py [--service plain --service ray --service bulk] [--seconds 20]
    python benchmarks/chaos.py --service triton
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chaos_services
import click
from chaos_bulk import Job
from chaos_clients import Clients, from_server, from_triton, wait_for
from timing import conditions, print_report

SERVICES = ("plain", "ray", "triton", "bulk")
HEADER = ("service", "fault", "right", "wrong", "failed", "longest_s", "failed_until_s")
Row = tuple[Any, ...]


def break_server(name: str, engine: str, seconds: float, timeout: float) -> list[Row]:
    """Have clients ask a service while each of its faults happens."""
    rows: list[Row] = []
    with getattr(chaos_services, name)([engine]) as service:
        url = service.ports.url
        of_triton = name == "triton"
        ask = from_triton(url, timeout, engine) if of_triton else from_server(url, timeout)
        for fault, happen in service.faults.items():
            wait_for(url)
            seen = Clients(engine, ask).during(happen, seconds)
            rows.append((name, fault, *seen))
            print(rows[-1], file=sys.stderr, flush=True)
    return rows


def break_bulk(engine: str, count: int, size: int, kills: int, only_kills: bool) -> list[Row]:
    """Break bulk jobs, and compare what they made in the end."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(engine, count, size, Path(folder))
        cpu = job.whole()
        ratio = cpu / job.generate()
        print(f"{cpu:.1f} s of CPU undisturbed, {ratio:.3f} of generate's", file=sys.stderr)
        part = cpu / 2 / (kills + 1)
        faults: dict[str, Callable[[], bool]] = {
            f"driver killed {kills} times": lambda: job.kill_the_driver(kills, part),
            "kill -9 of a worker": lambda: job.hit_a_worker(signal.SIGKILL, part),
            "SIGSTOP of a worker for 2 s": lambda: job.hit_a_worker(signal.SIGSTOP, part),
            "full disk": job.fill_the_disk,
        }
        chosen = list(faults)[:1] if only_kills else list(faults)
        same = {fault: faults[fault]() for fault in chosen}
    return [
        ("bulk", fault, count * good, count * (not good), "", "", "")
        for fault, good in same.items()
    ]


@click.command()
@click.option(
    "--service",
    "services",
    multiple=True,
    type=click.Choice(SERVICES),
    default=[one for one in SERVICES if one != "triton"],
    show_default=True,
)
@click.option("--engine", default="fashion-maskgit", show_default=True)
@click.option("--seconds", default=20.0, show_default=True)
@click.option("--timeout", default=15.0, show_default=True)
@click.option("--images", default=2000, show_default=True, help="Images of a bulk job.")
@click.option("--shard-size", default=100, show_default=True)
@click.option("--kills", default=3, show_default=True)
@click.option("--only-kills", is_flag=True, help="Of a bulk job, kill the driver and nothing else.")
def main(
    services: tuple[str, ...],
    engine: str,
    seconds: float,
    timeout: float,
    images: int,
    shard_size: int,
    kills: int,
    only_kills: bool,
) -> None:
    """Break services, and print what was seen."""
    rows: list[Row] = []
    for service in services:
        if service == "bulk":
            rows += break_bulk(engine, images, shard_size, kills, only_kills)
        else:
            rows += break_server(service, engine, seconds, timeout)
    print_report("chaos", HEADER, rows, conditions(1))


if __name__ == "__main__":
    main()
