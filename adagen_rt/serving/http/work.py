"""Images of a checked request: submit jobs, wait, and cancel when the client leaves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import Request

from adagen_rt.errors import InputError, StoppedError
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving import BatchEngine, Image, Job, Progress
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.settings import Settings

TIMEOUT_HEADER = "X-Request-Timeout"
Watch = Callable[[Progress], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageOrder:
    """Images of one request.

    Attributes:
        given: Condition of each image, as the engine reads it: a class number or name.
        seeds: Seed of each image; None draws one.
        params: Sampling parameters.
        timeout: Seconds until the images are given up.
    """

    given: Sequence[int | str]
    seeds: Sequence[int | None]
    params: SamplingParams
    timeout: float


def count_up(seed: int | None, count: int) -> list[int | None]:
    """Return consecutive seeds from ``seed`` on, or ``count`` times None without one."""
    if seed is None:
        return [None] * count
    if seed > SEED_LIMIT - count:
        raise InputError("seed", seed, f"an integer from 0 to {SEED_LIMIT - count}")
    return [seed + i for i in range(count)]


def deadline(request: Request, settings: Settings, asked: float | None = None) -> float:
    """Return a request's limit in seconds: its own, at most the server's."""
    header = request.headers.get(TIMEOUT_HEADER)
    if header is not None:
        try:
            asked = float(header)
        except ValueError:
            asked = math.nan
        if not 0 < asked < math.inf:
            message = f"{TIMEOUT_HEADER}: got {header!r:.40}, expected seconds above 0"
            raise HTTPError(Fault(400, message, field=TIMEOUT_HEADER))
    return settings.timeout if asked is None else min(asked, settings.timeout)


def check_images(field: str, count: int, engine: BatchEngine, settings: Settings) -> None:
    """Refuse more images than one request may have, or than the queue can hold."""
    most = min(settings.images_per_request, engine.max_queue)
    if count > most:
        raise InputError(field, f"{count} images", f"at most {most} in one request")


def submit(
    engine: BatchEngine, order: ImageOrder, watch: Watch | None = None, watch_every: int = 1
) -> list[Job]:
    """Queue every image of an order, or none of them."""
    jobs: list[Job] = []
    try:
        for one, seed in zip(order.given, order.seeds, strict=True):
            job = engine.submit(
                one,
                seed,
                order.params,
                timeout=order.timeout,
                watch=watch,
                watch_every=watch_every,
            )
            jobs.append(job)
    except BaseException:
        release(jobs)
        raise
    return jobs


def release(jobs: Sequence[Job]) -> None:
    """Cancel the jobs that are not finished."""
    for job in jobs:
        if not job.future.done():
            job.cancel()


async def make_images(request: Request, engine: BatchEngine, order: ImageOrder) -> list[Image]:
    """Make the images of an order; all are cancelled when one fails or the client leaves."""
    jobs = submit(engine, order)
    everything = asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))
    gone = asyncio.create_task(disconnected(request))
    ends: set[asyncio.Future[Any]] = {everything, gone}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            raise HTTPError(Fault(499, "the client left", "client_gone"))
        return outcome(everything)
    finally:
        gone.cancel()
        release(jobs)
        # Only the first failure of a request is answered.
        everything.add_done_callback(lambda future: future.cancelled() or future.exception())


def outcome(future: asyncio.Future[Result]) -> Result:
    """Return the result of a future that is done; a cancelled job does not cancel the task."""
    if future.cancelled() or isinstance(future.exception(), asyncio.CancelledError):
        raise StoppedError("the server is shutting down")
    return future.result()


async def disconnected(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
