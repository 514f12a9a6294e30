"""Clients of the other protocols: gRPC, Triton's generate extension, and Triton's own models."""

from __future__ import annotations

import asyncio
import json
import queue
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from chaos_services import Ports
from http_clients import APIS, Wish, exchange, images_of, message

from adagen_rt.errors import ServerError

SECONDS = 60
#: Types of an input of Triton's by what an option is.
KINDS = {int: "INT64", float: "FP32", str: "BYTES"}
DTYPES = {"INT64": np.int64, "FP32": np.float32, "BYTES": np.object_}


def over_http(ports: Ports, model: str, api: str, wish: Wish) -> list[np.ndarray]:
    """Ask by one of the APIs of our HTTP side."""
    answer = asyncio.run(exchange(("127.0.0.1", ports.http), wish.request(api, model)))
    if answer.status != 200:
        raise ServerError(f"{answer.status} {answer.body[:200]!r}")
    return images_of(api, answer)


def generate(ports: Ports, model: str, path: str, wish: Wish) -> list[np.ndarray]:
    """Ask by the generate extension, as a stream too; its outputs come flat, without a shape."""
    body = {wish.noun: str(wish.label), "seed": wish.seeds[0], **wish.options}
    if path == "generate_stream":
        body["preview_every"] = 3
    request = message(f"/v2/models/{model}/{path}", body)
    answer = asyncio.run(exchange(("127.0.0.1", ports.http), request))
    if answer.status != 200:
        raise ServerError(f"{answer.status} {answer.body[:200]!r}")
    last = answer.body.decode().strip().split("\n\n")[-1].removeprefix("data: ")
    return [np.asarray(json.loads(last)["image"], np.uint8)]


def _tensor(name: str, values: list[Any], column: bool) -> Any:
    kind = KINDS[type(values[0])]
    array = np.array(values, DTYPES[kind])
    array = array[:, None] if column else array
    made = triton.InferInput(name, list(array.shape), kind)
    made.set_data_from_numpy(array)
    return made


def _tensors(wish: Wish, options: bool, column: bool) -> list[Any]:
    """Inputs of a request: options among them in Triton's own models, one row an image in some."""
    label = str(wish.label) if options and wish.noun == "label" else wish.label
    given: dict[str, Any] = {wish.noun: label, **(wish.options if options else {})}
    made = [_tensor(name, [one] * len(wish.seeds), column) for name, one in given.items()]
    return [*made, _tensor("seed", list(wish.seeds), column)]


def over_grpc(ports: Ports, model: str, wish: Wish, own: bool) -> list[np.ndarray]:
    """Ask over gRPC; ``own`` are the models of a real Triton."""
    with triton.InferenceServerClient(f"127.0.0.1:{ports.grpc}") as client:
        inputs = _tensors(wish, own, own)
        options = None if own else dict(wish.options)
        answer = client.infer(model, inputs, parameters=options, client_timeout=SECONDS)
    return list(answer.as_numpy("image"))


def as_stream(ports: Ports, model: str, wish: Wish, own: bool) -> list[np.ndarray]:
    """Ask over a stream of gRPC, with previews."""
    answers: queue.Queue[Any] = queue.Queue()
    options: dict[str, Any] = {"preview_every": 3}
    asked = Wish(wish.label, wish.seeds, {**wish.options, **options}) if own else wish
    told = None if own else {**wish.options, **options}
    with triton.InferenceServerClient(f"127.0.0.1:{ports.grpc}") as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(model, _tensors(asked, own, False), parameters=told)
        while True:
            result, error = answers.get(timeout=SECONDS)
            if error is not None:
                raise ServerError(str(error))
            # A preview has no seed.
            if result.as_numpy("seed") is not None:
                image = result.as_numpy("image")
                return [image] if own else list(image)


Kind = tuple[int, Callable[[Ports, str, Wish], list[np.ndarray]]]


def _http_kind(api: str) -> Callable[[Ports, str, Wish], list[np.ndarray]]:
    return lambda ports, model, wish: over_http(ports, model, api, wish)


def _generate_kind(path: str) -> Callable[[Ports, str, Wish], list[np.ndarray]]:
    return lambda ports, model, wish: generate(ports, model, path, wish)


#: Kinds of requests: the images that one may ask for, and how to ask.
GENERATE: dict[str, Kind] = {
    path: (1, _generate_kind(path)) for path in ("generate", "generate_stream")
}
OURS: dict[str, Kind] = {
    **{api: (count, _http_kind(api)) for api, count in APIS.items()},
    **GENERATE,
    "gRPC": (4, lambda ports, model, wish: over_grpc(ports, model, wish, False)),
    "gRPC stream": (1, lambda ports, model, wish: as_stream(ports, model, wish, False)),
}
TRITONS: dict[str, Kind] = {
    **GENERATE,
    "gRPC, batch": (4, lambda ports, model, wish: over_grpc(ports, f"{model}-batch", wish, True)),
    "gRPC stream": (1, lambda ports, model, wish: as_stream(ports, model, wish, True)),
}
