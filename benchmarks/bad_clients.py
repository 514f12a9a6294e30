"""Clients that a server has to bear: slow, idle, huge, unfair, aborted, mistaken.

Each is a coroutine that does its harm once; `soak.py` runs all of them again and again, and expects
nothing of the answers.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import socket
import struct
from collections.abc import Awaitable, Callable

from http_clients import EVENTS, OPENAI, Place, Wish, connected, exchange, message

#: Connections that one idle client holds, and seconds for which slow and idle ones stay.
IDLE, STAY = 60, 25.0
GREEDY_ADDRESS, COSTLY_ADDRESS = "127.0.0.2", "127.0.0.3"
LABEL = {"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}


async def idle(place: Place, model: str, rng: random.Random) -> None:
    """Open connections and say nothing."""
    opened = await asyncio.gather(
        *(asyncio.open_connection(*place) for _ in range(IDLE)), return_exceptions=True
    )
    await asyncio.sleep(rng.uniform(1, STAY))
    for one in opened:
        if not isinstance(one, BaseException):
            one[1].close()


async def slow_head(place: Place, model: str, rng: random.Random) -> None:
    """Send a head, and perhaps a body, a byte at a time."""
    text = message(OPENAI, {"prompt": 0})
    async with connected(place) as (_, writer):
        for byte in text[: int(STAY)]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)


async def slow_body(place: Place, model: str, rng: random.Random) -> None:
    """Send a body in small parts."""
    text = message(OPENAI, {"prompt": "x" * 200_000})
    async with connected(place) as (_, writer):
        writer.write(text[:400])
        for begin in range(400, len(text), 997):
            writer.write(text[begin : begin + 997])
            await writer.drain()
            await asyncio.sleep(0.05)


async def deaf(place: Place, model: str, rng: random.Random) -> None:
    """Ask for much and read nothing of it."""
    bodies = (
        (EVENTS, {"label": 0, "steps": 300}),
        (OPENAI, {"prompt": 0, "n": 32}),
        (OPENAI, {"prompt": 0, "stream": True, "partial_images": 3, "steps": 100}),
    )
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    opened.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_connect(opened, place)
        path, body = rng.choice(bodies)
        request = message(path, body, {"Connection": "keep-alive"})
        for _ in range(20):
            await loop.sock_sendall(opened, request)
        await asyncio.sleep(STAY)
    finally:
        opened.close()


def _huge(rng: random.Random, model: str) -> bytes:
    infer = f"/v2/models/{model}/infer"
    label = json.dumps(LABEL)
    empty = '{"inputs":[' + ",".join(["{}"] * 300_000) + "]}"
    outputs = f'{{"inputs":[{label}],"outputs":[' + ",".join(["{}"] * 300_000) + "]}"
    named = ",".join('{"name":"image"}' for _ in range(55_000))
    bodies: list[Callable[[], bytes]] = [
        lambda: message(infer, empty.encode()),
        lambda: message(infer, outputs.encode()),
        lambda: message(infer, f'{{"inputs":[{label}],"outputs":[{named}]}}'.encode()),
        lambda: message(OPENAI, {f"k{i}": 0 for i in range(80_000)}),
        lambda: message(OPENAI, {"prompt": "x" * 1_000_000}),
        lambda: message(OPENAI, {"prompt": "\\u0000" * 150_000}),
        lambda: message(OPENAI, b"[" * 1_000_000),
        lambda: message(OPENAI, b"9" * 1_000_000),
        lambda: message(OPENAI, b'{"prompt": 1e' + b"9" * 900_000 + b"}"),
        lambda: message(OPENAI, bytes(6_000_000)),
        lambda: message(OPENAI, gzip.compress(bytes(300_000_000), 1), {"Content-Encoding": "gzip"}),
        lambda: message(infer, bytes(1_000_000), {"Inference-Header-Content-Length": "1000000"}),
        lambda: message("/" + "a" * 60_000, b""),
        lambda: message(OPENAI, b"", {f"X-{i}": "y" * 50 for i in range(1500)}),
        lambda: message(infer, {"inputs": [{**LABEL, "shape": [10**12]}]}),
        lambda: message(infer, {"inputs": [{**LABEL, "shape": [1] * 4000}]}),
        lambda: message(infer, {"inputs": [{**LABEL, "shape": [4000], "data": [0] * 4000}]}),
    ]
    return rng.choice(bodies)()


async def huge(place: Place, model: str, rng: random.Random) -> None:
    """Send what takes long to read, parse, check or refuse."""
    # Made in a thread, for it takes this process long too.
    await exchange(place, await asyncio.to_thread(_huge, rng, model))


async def greedy(place: Place, model: str, rng: random.Random) -> None:
    """Ask for as many images as one request may have."""
    request = Wish(0, range(64)).request("openai", model)
    await exchange(place, request, GREEDY_ADDRESS)


async def costly(place: Place, model: str, rng: random.Random) -> None:
    """Ask for little that costs much."""
    options = rng.choice([{"steps": 400}, {"best_of": 16, "steps": 50}, {"refine": 8}, {}])
    await exchange(place, Wish(0, [1], options).request("openai", model), COSTLY_ADDRESS)


async def abort(place: Place, model: str, rng: random.Random) -> None:
    """Ask, and go at any moment: in order, with a reset, or half."""
    api = rng.choice(["openai", "kserve", "events", "stream"])
    text = Wish(0, [rng.randrange(99)], {"steps": 100}).request(api, model)
    async with connected(place) as (_, writer):
        writer.write(text if rng.random() < 0.8 else text[: rng.randrange(len(text))])
        await asyncio.sleep(rng.random() * 0.1)
        end = rng.randrange(3)
        if end == 0:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif end == 1:
            writer.write_eof()
            await asyncio.sleep(0.1)


async def ahead(place: Place, model: str, rng: random.Random) -> None:
    """Send many requests on one connection without waiting for an answer."""
    body = rng.choice([{"prompt": "no such class"}, {"prompt": 0, "n": 10**6}])
    async with connected(place) as (reader, writer):
        writer.write(100 * message(OPENAI, body, {"Connection": "keep-alive"}))
        await asyncio.wait_for(reader.readexactly(20_000), 30)


MISTAKES = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    b"GET /\r\n\r\n",
    b"\x00" * 1000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 3\r\n\r\n0\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /%ff%00%0a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    message("/v2/health/live", b"", method="DELETE"),
    message("/v1/models/..%2f..%2fetc%2fpasswd", b"", method="GET"),
    message("/metrics", b"", {"X-Request-Id": "\x7f"}, method="GET"),
    message(OPENAI, b"{"),
    message(OPENAI, {"prompt": "no such class"}),
    message(OPENAI, {"prompt": 0, "n": 10**6}),
    message(OPENAI, {"prompt": 0, "seed": 2**63}),
    message(OPENAI, {"prompt": 0, "best_of": 64, "steps": 1000}),
    message(OPENAI, {"prompt": "9" * 4400}),
    message(OPENAI, b'{"prompt": NaN}'),
    message(OPENAI, {"prompt": 0}, {"X-Request-Timeout": "nan"}),
    message(OPENAI, {"prompt": 0}, {"X-Request-Timeout": "0.000001"}),
    message(OPENAI, {"prompt": 0}, {"Origin": "http://other.example"}),
    message(OPENAI, {"prompt": 0}, {"Content-Encoding": "br"}),
    message(OPENAI, b"\x1f\x8b junk", {"Content-Encoding": "gzip"}),
    message(EVENTS, {"label": 0, "every": 0}),
    message(EVENTS, b"\xff\xfe"),
    message("/v2/models/other/infer", {"inputs": []}),
    message("/v2/repository/models/x/load", {}),
    message("/v2/repository/index", b"nonsense"),
)


async def mistaken(place: Place, model: str, rng: random.Random) -> None:
    """Send what is no request, or a wrong one."""
    async with connected(place) as (reader, writer):
        writer.write(rng.choice(MISTAKES))
        await asyncio.wait_for(reader.read(), 30)


Client = Callable[[Place, str, random.Random], Awaitable[None]]
#: How many of each there are at a time.
BAD: dict[Client, int] = {
    idle: 2,
    slow_head: 8,
    slow_body: 4,
    deaf: 4,
    huge: 2,
    greedy: 1,
    costly: 1,
    abort: 3,
    mistaken: 2,
    ahead: 2,
}
