"""A server under hostile load for minutes: good answers are right, and it stays alive and flat.

Used by ``serving_http.py --soak MINUTES``. Liveness is probed from a process of its own, beside a
bare server of nothing (`control`), whose slowest answer is what the machine itself costs.
"""

from __future__ import annotations

import asyncio
import http.client
import http.server
import multiprocessing
import random
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from typing import Any

import numpy as np
from bad_clients import BAD, Client
from http_clients import APIS, Place, Wish, choose, exchange, images_of
from server_process import ServerProcess

GOOD = 4
#: Seconds between two probes, and for one; limits of what is asked of the server.
EVERY, PATIENCE = 0.05, 20.0
ALIVE_MS, GROWTH_MB, GROWTH_FILES = 100.0, 40.0, 32
OPTIONS: tuple[dict[str, Any], ...] = ({}, {"schedule": "static"}, {"steps": 4})


def wishes(generator: Any, count: int = 48) -> dict[int, tuple[Wish, np.ndarray]]:
    """Choose what good clients ask for, and make the images that they have to get."""
    found = {}
    for number in range(count):
        options, size = OPTIONS[number % len(OPTIONS)], 1 + number % max(APIS.values())
        seeds = range(1000 * number, 1000 * number + size)
        label = number % generator.manifest.condition.count
        result = generator.generate([label] * size, list(seeds), **options)
        found[number] = Wish(label, seeds, options), result.images
    return found


@dataclass
class Load:
    """Good and bad clients until a moment.

    Attributes:
        place: Where the server is.
        model: Its engine.
        expected: What good clients ask for, and the right answers.
        until: Time at which they stop, of the monotonic clock.
        good: Good requests by how they ended.
        bad: Bad requests by client.
        wrong: Descriptions of answers that were not right.
        seconds: How long good answers took.
    """

    place: Place
    model: str
    expected: dict[int, tuple[Wish, np.ndarray]]
    until: float
    good: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Run all clients until the moment has come."""
        bad = [self._bad(client, i) for client, count in BAD.items() for i in range(count)]
        tasks = [asyncio.create_task(one) for one in bad]
        await asyncio.gather(*(self._good(i) for i in range(GOOD)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _bad(self, client: Client, number: int) -> None:
        rng = random.Random(f"{client.__name__} {number}")
        while True:
            try:
                await client(self.place, self.model, rng)
            except (OSError, ValueError, IndexError, EOFError, asyncio.TimeoutError):
                self.bad["refused"] += 1
                await asyncio.sleep(0.01)
            self.bad[client.__name__] += 1

    async def _good(self, number: int) -> None:
        rng, address = random.Random(number), f"127.0.0.{10 + number}"
        while time.monotonic() < self.until:
            api, wish = choose(rng, [wish for wish, _ in self.expected.values()])
            begin = time.monotonic()
            try:
                request = wish.request(api, self.model, rng.choice(["identity", "gzip"]))
                answer = await asyncio.wait_for(exchange(self.place, request, address), 60)
            except (OSError, IndexError, asyncio.TimeoutError) as error:
                self._blame(api, wish, repr(error))
                continue
            if answer.status in (429, 503):
                self.good["asked to wait"] += 1
                await asyncio.sleep(min(1.0, float(answer.headers["retry-after"])))
                continue
            self.seconds.append(time.monotonic() - begin)
            self._judge(api, wish, answer)

    def _judge(self, api: str, wish: Wish, answer: Any) -> None:
        right = next(images for one, images in self.expected.values() if one is wish)
        try:
            found = images_of(api, answer)
        except Exception as error:  # whatever is wrong with an answer, it is wrong
            self._blame(api, wish, f"{answer.status}, {error!r}: {answer.body[-300:]!r}")
            return
        # WebP has no grey images.
        same = all(
            np.array_equal(one[..., : right.shape[-1]], r)
            for one, r in zip(found, right, strict=True)
        )
        if answer.status != 200 or not same:
            self._blame(api, wish, f"{answer.status}, and not the images of generate")
        else:
            self.good["right"] += 1

    def _blame(self, api: str, wish: Wish, what: str) -> None:
        self.good["wrong"] += 1
        if len(self.wrong) < 10:
            self.wrong.append(f"{api}, {wish}: {what}")


def probe(place: Place, path: str, end: Event, answers: Any) -> None:
    """Ask for a path again and again; put down the milliseconds of each answer."""
    found = []
    while not end.wait(EVERY):
        begin = time.perf_counter()
        connection = http.client.HTTPConnection(*place, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            good = connection.getresponse().status == 200
        except OSError:
            good = False
        finally:
            connection.close()
        found.append(1e3 * (time.perf_counter() - begin) if good else float("inf"))
    answers.put(found)


class _Nothing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def control(ports: Any) -> None:
    """Serve nothing, in a process of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Nothing)
    ports.put(server.server_address[1])
    server.serve_forever()


class Watch:
    """Probes, and looks at the server's memory and files, while a block runs."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.samples: list[tuple[float, int, int]] = []
        self.alive: list[float] = []
        self.control: list[float] = []

    def __enter__(self) -> Watch:
        fork = multiprocessing.get_context("spawn")
        self._end, ports = fork.Event(), fork.Queue()
        self._nothing = fork.Process(target=control, args=(ports,), daemon=True)
        self._nothing.start()
        bare = ("127.0.0.1", ports.get(timeout=60))
        self._answers = [fork.Queue(), fork.Queue()]
        places = [(self._server.place, "/v2/health/live"), (bare, "/")]
        self._probes = [
            fork.Process(target=probe, args=(*where, self._end, answers), daemon=True)
            for where, answers in zip(places, self._answers, strict=True)
        ]
        for one in self._probes:
            one.start()
        self._looker = threading.Thread(target=self._look)
        self._looker.start()
        return self

    def _look(self) -> None:
        while not self._end.wait(1.0):
            server = self._server
            self.samples.append((server.resident(), server.files(), server.threads()))

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.alive, self.control = (answers.get(timeout=60) for answers in self._answers)
        for one in self._probes:
            one.join()
        self._looker.join()
        self._nothing.terminate()


def soak(
    server: ServerProcess, model: str, generator: Any, minutes: float
) -> tuple[list[tuple[str, Any, str, bool]], dict[str, Any]]:
    """Run the load, end the server, and hold what was seen against what is asked.

    Returns:
        Criteria, each with what was found, the limit, and whether it holds; and facts.
    """
    load = Load(server.place, model, wishes(generator), 0.0)
    with Watch(server) as watch:
        load.until = time.monotonic() + 60 * minutes
        asyncio.run(load.run())
    status = server.end()
    rows = [
        ("wrong answers", load.good["wrong"], "0", not load.good["wrong"]),
        ("right answers", load.good["right"], "above 0", load.good["right"] > 0),
        ("liveness, slowest, ms", max(watch.alive), f"{ALIVE_MS:g}", max(watch.alive) < ALIVE_MS),
        _growth("memory grown, MB", [one[0] for one in watch.samples], GROWTH_MB),
        _growth("open files grown", [one[1] for one in watch.samples], GROWTH_FILES),
        ("unexpected errors in the log", server.levels["error"], "0", not server.errors),
        ("exit status", status, "0", status == 0),
    ]
    return rows, _facts(load, watch, server)


def _growth(name: str, values: list[float], limit: float) -> tuple[str, Any, str, bool]:
    """Compare the last quarter with the second one: the first is when caches fill."""
    quarter = max(1, len(values) // 4)
    grown = statistics.median(values[-quarter:]) - statistics.median(values[quarter : 2 * quarter])
    return name, float(grown), f"{limit:g}", grown < limit


def _facts(load: Load, watch: Watch, server: ServerProcess) -> dict[str, Any]:
    def shown(values: list[float]) -> dict[str, float]:
        places = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
        ordered = sorted(values) or [0.0]
        last = len(ordered) - 1
        return {name: round(ordered[round(last * place)], 2) for name, place in places.items()}

    resident = [one[0] for one in watch.samples]
    return {
        "good": dict(load.good),
        "bad": dict(load.bad),
        "good_seconds": shown(load.seconds),
        "live_ms": shown(watch.alive),
        "control_ms": shown(watch.control),
        "probes": len(watch.alive),
        "memory_mb": [round(one) for one in resident[:: max(1, len(resident) // 20)]],
        "files": max(one[1] for one in watch.samples),
        "server_threads": max(one[2] for one in watch.samples),
        "log": dict(server.levels),
        "wrong": load.wrong,
        "errors": server.errors[:5],
    }
