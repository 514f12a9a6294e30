"""Clients that go on asking while something is broken, and what they saw."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import ServerError
from adagen_rt.pipeline.load import load
from adagen_rt.serving.client import Client

Pixels = npt.NDArray[np.uint8]
CLIENTS, SEEDS, LABEL = 4, 64, 1


class Clients:
    """Some clients, each of which asks for an image as soon as it has the last one.

    Each asks once for each image, so that what goes wrong is seen.

    Args:
        engine: The engine that is asked.
        ask: Asks once for the image of a seed.
    """

    def __init__(self, engine: str, ask: Callable[[int], Pixels]) -> None:
        made = load(engine, threads=1).generate([LABEL] * SEEDS, list(range(SEEDS)))
        self._expected = made.images
        self._ask_for = ask
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.seen: Counter[str] = Counter()
        self.longest = 0.0
        self.last_fault = 0.0

    def during(self, fault: Callable[[], Any], seconds: float) -> tuple[Any, ...]:
        """Ask before, during and after a fault, and tell what was seen."""
        threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        time.sleep(seconds / 4)
        began = time.monotonic()
        fault()
        time.sleep(seconds)
        self._stop.set()
        for thread in threads:
            thread.join()
        recovered = max(0.0, self.last_fault - began)
        right, wrong = self.seen.pop("right", 0), self.seen.pop("wrong", 0)
        failed = ", ".join(f"{count} x {what}" for what, count in sorted(self.seen.items()))
        return right, wrong, failed, round(self.longest, 2), round(recovered, 2)

    def _ask(self, number: int) -> None:
        seed = number
        while not self._stop.is_set():
            begin = time.monotonic()
            outcome = self._one(seed % SEEDS)
            now = time.monotonic()
            with self._lock:
                self.seen[outcome] += 1
                self.longest = max(self.longest, now - begin)
                if outcome != "right":
                    self.last_fault = now
            if outcome != "right":
                time.sleep(0.05)
            seed += CLIENTS

    def _one(self, seed: int) -> str:
        try:
            pixels = self._ask_for(seed)
        except ServerError as error:
            return str(error.status or "broken")
        return "right" if np.array_equal(pixels.ravel(), self._expected[seed].ravel()) else "wrong"


def from_server(url: str, timeout: float) -> Callable[[int], Pixels]:
    """Ask a server of ours, or Ray Serve."""
    client = Client(url, timeout=timeout, tries=1)
    return lambda seed: client.generate(LABEL, seed=seed)[0].pixels


def from_triton(url: str, timeout: float, model: str) -> Callable[[int], Pixels]:
    """Ask a model of Triton."""

    def ask(seed: int) -> Pixels:
        body = json.dumps({"label": str(LABEL), "seed": seed}).encode()
        request = urllib.request.Request(f"{url}/v2/models/{model}/generate", body)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return np.array(json.load(answer)["image"], np.uint8)
        except urllib.error.HTTPError as error:
            raise ServerError(str(error), error.code) from None
        except (OSError, HTTPException, ValueError) as error:
            raise ServerError(str(error)) from None

    return ask


def wait_for(url: str, seconds: float = 180.0) -> None:
    """Wait until a server says that it is ready."""
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, HTTPException, OSError):
            pass
        if time.monotonic() > end:
            raise TimeoutError(f"{url} is not ready")
        time.sleep(0.2)
