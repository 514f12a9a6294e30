"""A client that asks again: since a seed fixes an image, no other image can come of it."""

from __future__ import annotations

import base64
import io
import json
import secrets
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError

import numpy as np
import numpy.typing as npt
from PIL import Image

from adagen_rt.errors import InputError, ServerError, as_integer
from adagen_rt.sampling.request import SEED_LIMIT

#: Statuses of a server that may do better later, or of a proxy whose server is gone.
PASSING = (408, 429, 500, 502, 503, 504)
#: Seconds before the second try; each further one waits twice as long, up to the longest.
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
#: Longest message of a server that is passed on.
MAX_MESSAGE = 500


@dataclass(frozen=True)
class Received:
    """An image that came.

    Attributes:
        pixels: (height, width, channels) uint8.
        seed: The seed that makes it again.
    """

    pixels: npt.NDArray[np.uint8]
    seed: int


class Client:
    """Asks a server of `adagen-rt serve` or of Ray Serve for images, again where it fails.

    Args:
        url: Where the server is, such as ``http://127.0.0.1:8000``.
        token: Bearer token.
        timeout: Seconds for each try.
        tries: How often a request is sent at most.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout: float = 60.0, tries: int = 6
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError("url", url, "http:// or https:// and a place")
        if not timeout > 0:
            raise InputError("timeout", timeout, "seconds above 0")
        self._url = f"{url.rstrip('/')}/v1/images/generations"
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout
        self._tries = as_integer("tries", tries, 1, 1000)

    def generate(
        self,
        prompt: str | int,
        *,
        model: str | None = None,
        seed: int | None = None,
        n: int = 1,
        **options: Any,
    ) -> list[Received]:
        """Have images made.

        Args:
            prompt: A text, or a class number or name.
            model: Name of the engine; may be left out if there is one.
            seed: Seed of the first image, from which others count up. None draws it here, so that
                a second try asks for the same images as the first.
            n: Images.
            **options: Other fields of the request, such as ``refine``.

        Raises:
            ServerError: The request is refused, or every try failed.
        """
        as_integer("n", n, 1, SEED_LIMIT)
        seed = secrets.randbelow(SEED_LIMIT - n) if seed is None else seed
        body = {"prompt": prompt, "model": model, "seed": seed, "n": n, **options}
        text = json.dumps({name: value for name, value in body.items() if value is not None})
        return [_receive(datum) for datum in self._ask(text.encode())["data"]]

    def _ask(self, body: bytes) -> Any:
        """Send a request until there is an answer."""
        wait, failure = FIRST_WAIT, ServerError("no try was made")
        for number in range(self._tries):
            if number:
                time.sleep(wait * (0.5 + secrets.randbelow(1000) / 2000))
                wait = min(2 * wait, LONGEST_WAIT)
            request = urllib.request.Request(self._url, body, self._headers)
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                    return json.loads(answer.read())
            except HTTPError as error:
                failure = _refusal(error)
                if error.code not in PASSING:
                    break
                wait = max(wait, min(_seconds(error.headers.get("Retry-After")), LONGEST_WAIT))
            except (OSError, HTTPException, ValueError) as error:
                # Nobody listens, the connection broke, or half of an answer came.
                failure = ServerError(f"{self._url}: {error or type(error).__name__}")
        raise failure


def _refusal(error: HTTPError) -> ServerError:
    """Return what a server said, in its own words where it has some."""
    with error:
        try:
            text = error.read().decode("utf-8", "replace")
        except (OSError, HTTPException):
            text = ""
    try:
        message = str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = text.strip() or str(error.reason)
    return ServerError(f"{error.code}: {message[:MAX_MESSAGE]}", error.code)


def _seconds(header: str | None) -> float:
    return float(header) if header is not None and header.isdecimal() else 0.0


def _receive(datum: dict[str, Any]) -> Received:
    with Image.open(io.BytesIO(base64.b64decode(datum["b64_json"]))) as picture:
        pixels = np.asarray(picture)
    return Received(pixels.reshape(*pixels.shape[:2], -1), datum["seed"])
