"""From a checked request to its images: submit, wait, and let go when the client does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request

from adagen_rt.errors import InputError, StoppedError
from adagen_rt.sampling.request import MAX_CANDIDATES, MAX_STEPS, SEED_LIMIT
from adagen_rt.serving import Engine, Image, Job, Progress
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.settings import Settings

TIMEOUT_HEADER = "X-Request-Timeout"
Watch = Callable[[Progress], None]
Result = TypeVar("Result")


class Options(BaseModel):
    """How images are made; every API takes these under the same names."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="Backbone evaluations.")
    static: bool | Literal["tuned"] = Field(
        False, description="Run the hand-made schedule, or the tuned one, and not the policy."
    )
    fidelity: float = Field(0.0, ge=0, le=1, description="From 0, diverse, to 1, faithful.")
    refine: int = Field(1, ge=1, le=MAX_CANDIDATES, description="Actions tried at each step.")
    best_of: int = Field(1, ge=1, le=MAX_CANDIDATES, description="Images made, one is kept.")

    def options(self) -> Options:
        """These alone, without what an API adds to them."""
        return Options(**{name: getattr(self, name) for name in Options.model_fields})


@dataclass(frozen=True)
class Order:
    """Images that one request asks for.

    Attributes:
        labels: Class of each, a number or a name.
        seeds: Seed of each; None draws one.
        options: How they are made.
        timeout: Seconds until they are given up.
    """

    labels: Sequence[int | str]
    seeds: Sequence[int | None]
    options: Options
    timeout: float


def count_up(seed: int | None, count: int) -> list[int | None]:
    """Consecutive seeds from ``seed`` on, or none given."""
    if seed is None:
        return [None] * count
    if seed > SEED_LIMIT - count:
        raise InputError("seed", seed, f"an integer from 0 to {SEED_LIMIT - count}")
    return [seed + i for i in range(count)]


def deadline(request: Request, settings: Settings, asked: float | None = None) -> float:
    """Seconds that a request may take: what it asks for, at most what the server allows."""
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


def check_images(field: str, count: int, engine: Engine, settings: Settings) -> None:
    """Refuse more images than a request may ask for, or than could ever be queued at once."""
    most = min(settings.images_per_request, engine.max_queue)
    if count > most:
        raise InputError(field, f"{count} images", f"at most {most} in one request")


def submit(
    engine: Engine, order: Order, watch: Watch | None = None, watch_every: int = 1
) -> list[Job]:
    """Queue every image of an order, or none of them."""
    jobs: list[Job] = []
    options = order.options.model_dump()
    try:
        for label, seed in zip(order.labels, order.seeds, strict=True):
            job = engine.submit(
                label,
                seed,
                timeout=order.timeout,
                watch=watch,
                watch_every=watch_every,
                **options,
            )
            jobs.append(job)
    except BaseException:
        release(jobs)
        raise
    return jobs


def release(jobs: Sequence[Job]) -> None:
    """Free what is not finished."""
    for job in jobs:
        if not job.future.done():
            job.cancel()


async def make_images(request: Request, engine: Engine, order: Order) -> list[Image]:
    """The images of an order; they are given up when one fails or the client leaves."""
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
        # A second failure of the same request has nobody left to tell.
        everything.add_done_callback(lambda future: future.cancelled() or future.exception())


def outcome(future: asyncio.Future[Result]) -> Result:
    """The result of a future that is done; a cancelled job is no cancelled task."""
    if future.cancelled() or isinstance(future.exception(), asyncio.CancelledError):
        raise StoppedError("the server is shutting down")
    return future.result()


async def disconnected(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
