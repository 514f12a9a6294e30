"""A thousand requests of all kinds: the good ones get their images, nothing stays behind."""

import asyncio
import base64
import gc
import io
import json
import random
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from http_server import events, running, wait_until
from PIL import Image

pytest.importorskip("fastapi")

WARMUP, REQUESTS, CLIENTS = 300, 1000, 24
PATHS = ("/v1/images/generations", "/v2/models/tiny/infer", "/events")
WRONG = (
    {"prompt": "no such class"},
    {"prompt": 0, "n": 10**6},
    {"prompt": 0, "steps": -1},
    {"label": 0, "fidelity": "x"},
    {"inputs": []},
    {"inputs": [{"name": "label", "shape": [3], "datatype": "INT64", "data": [0]}]},
    [],
)


@dataclass
class Soak:
    """Clients that share a server, and what came of their requests."""

    port: int
    outcomes: Counter = field(default_factory=Counter)
    #: Label, seed and pixels of every image that a good request got.
    images: list = field(default_factory=list)

    async def run(self, seed, requests):
        left = iter(range(requests))
        await asyncio.gather(*(self.client(random.Random(seed + i), left) for i in range(CLIENTS)))

    async def client(self, rng, left):
        for _ in left:
            kind = rng.choices(("good", "wrong", "leave", "cut", "large"), (60, 12, 20, 6, 2))[0]
            await getattr(self, kind)(rng)
            self.outcomes[kind] += 1

    async def good(self, rng):
        path, labels, first = (
            rng.choice(PATHS),
            [rng.randrange(3)] * rng.randint(1, 3),
            rng.random(),
        )
        if path == "/events":
            labels = labels[:1]
        seeds = [int(first * 2**62) + i for i in range(len(labels))]
        while True:
            status, body = await self.exchange(path, good_body(path, labels, seeds))
            if status != 429:
                break
            self.outcomes["full"] += 1
            await asyncio.sleep(0.01)
        assert status == 200, body
        self.images += zip(labels, seeds, images_of(path, body), strict=True)

    async def wrong(self, rng):
        status, _ = await self.exchange(rng.choice(PATHS), rng.choice(WRONG))
        assert status in (400, 429)

    async def large(self, rng):
        status, _ = await self.exchange(rng.choice(PATHS), {"prompt": "x" * (1 << 20)})
        assert status == 413

    async def leave(self, rng):
        """Ask for what takes long, and go at any moment."""
        path = rng.choice(PATHS)
        body = {**good_body(path, [0], [rng.randrange(99)]), "steps": 200}
        if path == PATHS[1]:
            body["parameters"] = {"steps": body.pop("steps")}
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(message(path, body))
        await asyncio.sleep(rng.random() * 0.02)
        await close(writer)

    async def cut(self, rng):
        """Stop in the middle of the request."""
        text = message(rng.choice(PATHS), {"prompt": 0})
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text[: rng.randrange(len(text))])
        await asyncio.sleep(rng.random() * 0.01)
        await close(writer)

    async def exchange(self, path, body):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(message(path, body))
        answer = await reader.read()
        await close(writer)
        head, _, content = answer.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            content = joined(content)
        return int(head.split()[1]), content


async def close(writer):
    writer.close()
    try:
        await writer.wait_closed()
    except ConnectionError:
        # The server was quicker.
        return


def message(path, body):
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


def joined(chunked):
    """The content of a chunked body."""
    content = b""
    while chunked:
        size, _, chunked = chunked.partition(b"\r\n")
        content += chunked[: int(size, 16)]
        chunked = chunked[int(size, 16) + 2 :]
    return content


def good_body(path, labels, seeds):
    if path == PATHS[0]:
        return {"prompt": labels[0], "n": len(labels), "seed": seeds[0]}
    if path == PATHS[2]:
        return {"label": labels[0], "seed": seeds[0], "every": 2}
    columns = {"label": labels, "seed": seeds}
    shape = {"shape": [len(labels)], "datatype": "INT64"}
    return {"inputs": [{"name": n, "data": data, **shape} for n, data in columns.items()]}


def images_of(path, body):
    """Pixels of the images in a response."""
    if path == PATHS[2]:
        name, data = events(body.decode())[-1]
        assert name == "done", data
        return [png(data["image"])]
    content = json.loads(body)
    if path == PATHS[0]:
        return [png(datum["b64_json"]) for datum in content["data"]]
    image = content["outputs"][0]
    return list(np.asarray(image["data"], np.uint8).reshape(image["shape"]))


def png(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))[..., None]


def resident():
    """Memory of this process, in MB."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096 / 1e6


def test_a_thousand_requests(judged_engine, offline):
    from adagen_rt.serving import BatchEngine, Job
    from adagen_rt.serving.http import Fleet, create_app

    with BatchEngine(judged_engine, max_batch=8, max_queue=12, threads=1) as engine:
        with running(create_app(Fleet.of(engine))) as port:
            asyncio.run(Soak(port).run(seed=0, requests=WARMUP))
            gc.collect()
            before, soak = resident(), Soak(port)
            asyncio.run(soak.run(seed=1000, requests=REQUESTS))
            wait_until(lambda: engine.stats().running == engine.stats().queued == 0)
            gc.collect()
            assert resident() - before < 20
            # The compute thread's frame may still name those of its last step.
            assert sum(type(item) is Job for item in gc.get_objects()) <= engine.max_batch
        finished = dict(engine.stats().finished)
    kinds = ("good", "wrong", "leave", "cut", "large")
    assert sum(soak.outcomes[kind] for kind in kinds) == REQUESTS
    assert min(soak.outcomes[kind] for kind in (*kinds, "full")) > 0
    assert finished["cancelled"] > 0
    assert not any(finished.get(name) for name in ("failed", "deadline", "error"))
    labels, seeds, images = zip(*soak.images, strict=True)
    np.testing.assert_array_equal(images, offline(labels, seeds, batch_size=64).images)
