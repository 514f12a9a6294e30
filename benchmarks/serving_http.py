"""What the whole server costs over `generate`, image by image, when it is saturated.

Regime: a shipped engine on the CPU; `--images` images of all classes, each with its own seed.
`generate` makes them in one call with the server's batch size. `engine` submits them one by one
to the scheduler in the same process. `server` is `adagen-rt serve` in a process of its own, asked
for one image a request over `--clients` connections that stay open, so that there is always one
waiting; its answers are PNG in base64. The clients run on the same cores, so their time counts as
the server's; it is stated. Contenders run in turns, A B C A B C; medians.

    python benchmarks/serving_http.py [--engine fashion-maskgit] [--threads 2]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlparse

import click
from timing import conditions, interleaved_seconds, print_report

from adagen_rt.pipeline.load import check_threads, load
from adagen_rt.serving import BatchEngine

BATCH, WARMUPS = 16, 1
HEAD = (
    "POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


@contextmanager
def server(engine: str, threads: int, images: int) -> Iterator[tuple[str, int]]:
    """A warm server process; gives its host and port."""
    command = [sys.executable, "-m", "adagen_rt", "serve", engine, "--port", "0"]
    sizes = ["--threads", str(threads), "--max-batch", str(BATCH), "--max-queue", str(images)]
    process = subprocess.Popen([*command, *sizes], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        url = None
        for text in process.stderr:
            line = json.loads(text)
            url = line.get("url", url)
            if line["message"] == "ready":
                break
        # Its log goes nowhere from here on, but has to be read.
        reader = threading.Thread(target=deque, args=(process.stderr, 0))
        reader.start()
        place = urlparse(url)
        assert place.hostname is not None
        assert place.port is not None
        yield place.hostname, place.port
    finally:
        process.terminate()
        process.wait()
    reader.join()


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


@click.command()
@click.option("--engine", default="fashion-maskgit", show_default=True)
@click.option("--images", default=256, show_default=True)
@click.option("--clients", default=2 * BATCH, show_default=True)
@click.option("--threads", type=int, help="Default: all that are available.")
@click.option("--repeats", default=5, show_default=True)
def main(engine: str, images: int, clients: int, threads: int | None, repeats: int) -> None:
    """Print milliseconds of an image by each way to get it."""
    workers = check_threads(threads)
    generator = load(engine, threads=workers)
    labels = generator.manifest.condition.examples(images)
    with (
        BatchEngine(engine, max_batch=BATCH, max_queue=images, threads=workers) as core,
        server(engine, workers, images) as place,
    ):
        asking = Clients(place, labels, clients)

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
    print_report("serving_http", ("way", "image_ms", "overhead_percent"), rows, facts)


if __name__ == "__main__":
    main()
