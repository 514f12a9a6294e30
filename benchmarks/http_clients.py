"""Plain clients of a server's APIs: requests, answers and the images in them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

OPENAI, EVENTS = "/v1/images/generations", "/events"
Place = tuple[str, int]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@asynccontextmanager
async def connected(place: Place, address: str | None = None):
    """Open a connection, from an address of this machine; it is closed whatever happens."""
    local = None if address is None else (address, 0)
    reader, writer = await asyncio.open_connection(*place, local_addr=local)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):  # the server may be quicker
            await writer.wait_closed()


def message(
    path: str, body: Any, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> bytes:
    """Write a request; a body that is no bytes goes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"Host": "localhost", "Connection": "close", "Content-Type": "application/json"}
    told |= {"Content-Length": str(len(content)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


async def exchange(place: Place, request: bytes, address: str | None = None) -> Answer:
    """Send a request that closes its connection, and read the answer."""
    async with connected(place, address) as (reader, writer):
        writer.write(request)
        text = await reader.read()
    head, _, content = text.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    if "chunked" in headers.get("transfer-encoding", ""):
        content = _joined(content)
    if headers.get("content-encoding") == "gzip":
        content = gzip.decompress(content)
    return Answer(int(first.split()[1]), headers, content)


def _joined(chunked: bytes) -> bytes:
    parts = []
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        chunked = rest[int(size, 16) + 2 :]
    return b"".join(parts)


@dataclass(frozen=True)
class Wish:
    """Images that are asked for: one class or prompt, consecutive seeds."""

    label: int | str
    seeds: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def noun(self) -> str:
        """Name of the field that says what they are of."""
        return "prompt" if isinstance(self.label, str) else "label"

    def request(self, api: str, model: str, accept: str = "identity") -> bytes:
        """Write the request of an API, one of `APIS`."""
        headers = {"Accept-Encoding": accept}
        if api == "events":
            body = {self.noun: self.label, "seed": self.seeds[0], "every": 3, **self.options}
            return message(EVENTS, {**body, "model": model}, headers)
        if api in ("openai", "webp", "stream"):
            body = {"prompt": self.label, "n": len(self.seeds), "seed": self.seeds[0]}
            more = {"webp": {"output_format": "webp"}, "stream": {"stream": True}}.get(api, {})
            return message(OPENAI, {**body, **more, **self.options, "model": model}, headers)
        kinds = {self.noun: "INT64" if self.noun == "label" else "BYTES", "seed": "INT64"}
        columns = {self.noun: [self.label] * len(self.seeds), "seed": list(self.seeds)}
        inputs = [
            {"name": name, "data": data, "shape": [len(data)], "datatype": kinds[name]}
            for name, data in columns.items()
        ]
        options = {**self.options, "binary_data_output": api == "binary"}
        body = {"inputs": inputs, "parameters": options}
        return message(f"/v2/models/{model}/infer", body, headers)


#: APIs by which good clients ask, and how many images one of their requests may have.
APIS = {"openai": 3, "webp": 2, "stream": 1, "kserve": 3, "binary": 4, "events": 1}


def images_of(api: str, answer: Answer) -> list[np.ndarray]:
    """Read the images (H, W, c) uint8 of an answer."""
    if api in ("events", "stream"):
        last = answer.body.decode().strip().split("\n\n")[-1]
        data = json.loads(last.partition("data: ")[2])
        return [_picture(data["image" if api == "events" else "b64_json"])]
    if api in ("openai", "webp"):
        return [_picture(datum["b64_json"]) for datum in json.loads(answer.body)["data"]]
    length = answer.headers.get("inference-header-content-length")
    head = json.loads(answer.body[: int(length)] if length else answer.body)
    image = head["outputs"][0]
    if length:
        size = image["parameters"]["binary_data_size"]
        pixels = np.frombuffer(answer.body[int(length) :][:size], np.uint8)
    else:
        pixels = np.asarray(image["data"], np.uint8)
    return list(pixels.reshape(image["shape"]))


def _picture(text: str) -> np.ndarray:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def choose(rng: random.Random, wishes: Sequence[Wish]) -> tuple[str, Wish]:
    """Choose an API and images that one request of it may have."""
    api = rng.choice(list(APIS))
    fitting = [wish for wish in wishes if len(wish.seeds) <= APIS[api]]
    return api, rng.choice(fitting)
