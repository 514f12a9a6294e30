"""What the whole server costs over `generate`, image by image, when it is saturated.

Regime: a shipped engine on the CPU; `--images` images of all classes, each with its own seed.
`generate` makes them in one call with the server's batch size. `engine` submits them one by one
to the scheduler in the same process. `server` is `adagen-rt serve` in a process of its own, asked
for one image a request over `--clients` connections that stay open, so that there is always one
waiting; its answers are PNG in base64. The clients run on the same cores, so their time counts as
the server's; it is stated. Contenders run in turns, A B C A B C; medians.

    python benchmarks/serving_http.py [--engine fashion-maskgit] [--threads 2]
    python benchmarks/serving_http.py --soak 10     # minutes of hostile load beside good clients
    python benchmarks/serving_http.py --criteria    # fairness, and a storm of cancellations

The last two end with status 1 where a criterion does not hold; what they ask is in `soak.py` and
`criteria.py`. With `--json`, only the line of JSON is printed.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import click
from criteria import criteria
from server_process import server_process
from soak import soak
from timing import conditions, interleaved_seconds, print_report

from adagen_rt.pipeline.load import check_threads, load
from adagen_rt.serving import BatchEngine

BATCH, WARMUPS = 16, 1
HEAD = (
    "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


class Clients:
    """Connections that ask for one image at a time, each as soon as it has the last one.

    Args:
        place: Host and port.
        labels: Class of each image; its place is its seed.
        count: Connections.
    """

    def __init__(self, place: tuple[str, int], labels: list[int], count: int) -> None:
        self._place, self._labels, self._count = place, labels, count
        self.cpu_seconds: list[float] = []

    def run(self) -> None:
        """Ask for every image once."""
        begin = time.process_time()
        asyncio.run(self._all())
        self.cpu_seconds.append(time.process_time() - begin)

    async def _all(self) -> None:
        orders = iter(enumerate(self._labels))
        await asyncio.gather(*(self._client(orders) for _ in range(self._count)))

    async def _client(self, orders: Iterator[tuple[int, int]]) -> None:
        reader, writer = await asyncio.open_connection(*self._place)
        for seed, label in orders:
            body = json.dumps({"prompt": label, "seed": seed})
            writer.write((HEAD.format(len(body)) + body).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            await reader.readexactly(int(length))
        writer.close()
        await writer.wait_closed()


def options(threads: int, queue: int) -> list[str]:
    """Make the options of a server."""
    sizes = {"threads": threads, "max-batch": BATCH, "max-queue": queue}
    return [text for name, value in sizes.items() for text in (f"--{name}", str(value))]


@click.command()
@click.option("--engine", default="fashion-maskgit", show_default=True)
@click.option("--images", default=256, show_default=True)
@click.option("--clients", default=2 * BATCH, show_default=True)
@click.option("--threads", type=int, help="Default: all that are available.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--soak", "minutes", type=float, help="Minutes of hostile load, and nothing else.")
@click.option("--criteria", "judged", is_flag=True, help="Fairness and a storm, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def main(
    engine: str,
    images: int,
    clients: int,
    threads: int | None,
    repeats: int,
    minutes: float | None,
    judged: bool,
    as_json: bool,
) -> None:
    """Print milliseconds of an image by each way to get it, or hold a server against criteria."""
    workers = check_threads(threads)
    generator = load(engine, threads=workers)
    if minutes is not None or judged:
        judge(engine, workers, generator, minutes, as_json)
        return
    labels = generator.manifest.condition.examples(images)
    with (
        BatchEngine(engine, max_batch=BATCH, max_queue=images, threads=workers) as core,
        server_process(engine, options(workers, images)) as server,
    ):
        asking = Clients(server.place, labels, clients)

        def submit() -> None:
            jobs = [core.submit(label, seed) for seed, label in enumerate(labels)]
            for job in jobs:
                job.result()

        contenders = {
            "generate": lambda: generator.generate(labels, range(images), batch_size=BATCH),
            "engine": submit,
            "server": asking.run,
        }
        seconds = interleaved_seconds(contenders, repeats, WARMUPS)
    ratios = {
        name: statistics.median(
            own / base for own, base in zip(times, seconds["generate"], strict=True)
        )
        for name, times in seconds.items()
    }
    rows = [
        (name, 1e3 * statistics.median(times) / images, 100 * (ratios[name] - 1))
        for name, times in seconds.items()
    ]
    client_ms = 1e3 * statistics.median(asking.cpu_seconds[WARMUPS:]) / images
    facts = {"engine": engine, "images": images, "clients": clients, "batch": BATCH}
    facts |= {"client_cpu_ms": round(client_ms, 3), **conditions(workers)}
    header = ("way", "image_ms", "overhead_percent")
    print_report("serving_http", header, rows, facts, only_json=as_json)


def judge(engine: str, threads: int, generator: Any, minutes: float | None, as_json: bool) -> None:
    """Print criteria with what was found; the exit status is 1 where one does not hold."""
    facts = {"engine": engine, **conditions(threads)}
    with server_process(engine, options(threads, 64)) as server:
        if minutes is not None:
            facts["minutes"] = minutes
            rows, seen = soak(server, engine, generator, minutes)
        else:
            rows, seen = criteria(server)
    name = "serving_http_criteria" if minutes is None else "serving_http_soak"
    header = ("criterion", "found", "limit", "holds")
    print_report(name, header, rows, {**facts, **seen}, only_json=as_json)
    raise SystemExit(not all(row[-1] for row in rows))


if __name__ == "__main__":
    main()
