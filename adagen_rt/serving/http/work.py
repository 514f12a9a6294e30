"""Images of a checked request: submit jobs, wait, and cancel when the client leaves."""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from starlette.requests import Request

from adagen_rt.condition import ClassLabels
from adagen_rt.errors import DeadlineError, InputError, StoppedError
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import SEED_LIMIT
from adagen_rt.serving import BatchEngine, Caller, Image, Job, Progress
from adagen_rt.serving.batching.caller import NORMAL
from adagen_rt.serving.http.auth import TOKEN
from adagen_rt.serving.http.clients import client_of
from adagen_rt.serving.http.faults import Fault, HTTPError
from adagen_rt.serving.http.settings import Settings
from adagen_rt.serving.http.telemetry import tell
from adagen_rt.serving.http.tokens import Token

TIMEOUT_HEADER = "X-Request-Timeout"
PRIORITY_HEADER = "X-Request-Priority"
#: Seconds after a deadline for which an answer waits for the step under way.
GRACE_SECONDS = 5.0
Watch = Callable[[Progress], None]
Result = TypeVar("Result")


@dataclass(frozen=True)
class ImageOrder:
    """Images of one request.

    Attributes:
        given: What each image is of: arguments of `BatchEngine.submit` by name, such as ``label``.
        seeds: Seed of each image; None draws one.
        params: Sampling parameters.
        timeout: Seconds until the images are given up.
        caller: Who asks.
        cost_limit: Backbone rows that the images may cost.
    """

    given: Sequence[Mapping[str, Any]]
    seeds: Sequence[int | None]
    params: SamplingParams
    timeout: float
    caller: Caller
    cost_limit: int


def caller_of(request: Request, priority: int | None = None) -> Caller:
    """Return who asks: the client's address, a name for this request, and its priority.

    Args:
        request: The request.
        priority: Its priority, where the API has a field for it; 0 and None leave it to the header.
    """
    header = request.headers.get(PRIORITY_HEADER)
    if not priority and header is not None:
        if header not in ("1", "2", "3"):
            message = f"{PRIORITY_HEADER}: got {header!r:.40}, expected 1 (high), 2 or 3 (low)"
            raise HTTPError(Fault(400, message, field=PRIORITY_HEADER))
        priority = int(header)
    host = request.client.host if request.client else None
    name: Hashable = client_of(host)
    level = priority or NORMAL
    token: Token | None = request.scope.get(TOKEN)
    if token is not None:
        name = name if token.name is None else ("token", token.name)
        level = max(level, token.priority)
    return Caller(name, uuid.uuid4().hex, level)


def cost_limit(request: Request, settings: Settings) -> int:
    """Return the cost that a request may have: the server's limit, or less with its token."""
    token: Token | None = request.scope.get(TOKEN)
    own = None if token is None else token.cost
    return settings.request_cost if own is None else min(own, settings.request_cost)


def check_cost(order: ImageOrder, engine: BatchEngine) -> None:
    """Refuse a request that would keep the engine busy for too long."""
    params = order.params
    steps = params.steps or engine.manifest.schedule.steps
    area = params.area_cost(engine.manifest)
    cost = len(order.given) * params.best_of * params.refine * steps * area
    if cost > order.cost_limit:
        terms = f"{len(order.given)} images x best_of {params.best_of} x refine {params.refine}"
        larger = f" x {area} times as large" if area > 1 else ""
        got = f"{cost} backbone rows: {terms} x steps {steps}{larger}"
        raise InputError("cost", got, f"at most {order.cost_limit} in one request")


def count_up(seed: int | None, count: int) -> list[int | None]:
    """Return consecutive seeds from ``seed`` on, or ``count`` times None without one."""
    if seed is None:
        return [None] * count
    if seed > SEED_LIMIT - count:
        raise InputError("seed", seed, f"an integer from 0 to {SEED_LIMIT - count}")
    return [seed + i for i in range(count)]


def deadline(request: Request, settings: Settings, asked: float | None = None) -> float:
    """Return a request's limit in seconds: the least of its own and the server's."""
    header = request.headers.get(TIMEOUT_HEADER)
    longest = settings.timeout if asked is None else min(asked, settings.timeout)
    if header is None:
        return longest
    try:
        told = float(header)
    except ValueError:
        told = math.nan
    if not 0 < told < math.inf:
        message = f"{TIMEOUT_HEADER}: got {header!r:.40}, expected seconds above 0"
        raise HTTPError(Fault(400, message, field=TIMEOUT_HEADER))
    return min(told, longest)


def most_images(engine: BatchEngine, settings: Settings) -> int:
    """Return the images that one request may have: its limit, or what the queue can hold."""
    return min(settings.images_per_request, engine.max_queue)


def check_images(field: str, count: int, engine: BatchEngine, settings: Settings) -> None:
    """Refuse more images than one request may have."""
    most = most_images(engine, settings)
    if count > most:
        raise InputError(field, f"{count} images", f"at most {most} in one request")


def submit(
    engine: BatchEngine,
    order: ImageOrder,
    watch: Watch | None = None,
    watch_every: int = 1,
) -> list[Job]:
    """Queue every image of an order, or none of them."""
    check_cost(order, engine)
    jobs: list[Job] = []
    try:
        for one, seed in zip(order.given, order.seeds, strict=True):
            job = engine.submit(
                seed=seed,
                params=order.params,
                **one,
                timeout=order.timeout,
                watch=watch,
                watch_every=watch_every,
                caller=order.caller,
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


async def read_ahead(engine: BatchEngine, order: ImageOrder) -> None:
    """Tokenise an order's prompts in a thread: many long ones would hold the event loop up."""
    condition = engine.manifest.condition
    if not isinstance(condition, ClassLabels):
        await anyio.to_thread.run_sync(condition.read_ahead, order.given)


async def make_images(request: Request, engine: BatchEngine, order: ImageOrder) -> list[Image]:
    """Make the images of an order; all are cancelled when one fails or the client leaves."""
    await read_ahead(engine, order)
    jobs = submit(engine, order)
    made = asyncio.gather(*(asyncio.wrap_future(job.future) for job in jobs))
    everything = asyncio.ensure_future(in_time(made, order.timeout))
    gone = asyncio.create_task(disconnected(request))
    ends: set[asyncio.Future[Any]] = {everything, gone}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not everything.done():
            raise HTTPError(Fault(499, "the client left", "client_gone"))
        images = outcome(everything)
        if engine.cache:
            tell(request.scope, {"cached": sum(image.cached for image in images)})
        return images
    finally:
        gone.cancel()
        release(jobs)
        # Only the first failure of a request is answered.
        everything.add_done_callback(lambda future: future.cancelled() or future.exception())


async def in_time(made: asyncio.Future[Result], seconds: float) -> Result:
    """Wait for what an engine makes, which sees to deadlines between two steps.

    Raises:
        DeadlineError: It has made none for a while.
    """
    try:
        return await asyncio.wait_for(made, seconds + GRACE_SECONDS)
    except asyncio.TimeoutError:
        raise DeadlineError(seconds) from None


def outcome(future: asyncio.Future[Result]) -> Result:
    """Return the result of a future that is done; a cancelled job does not cancel the task."""
    if future.cancelled() or isinstance(future.exception(), asyncio.CancelledError):
        raise StoppedError("the server is shutting down")
    return future.result()


async def disconnected(request: Request) -> None:
    """Wait until the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
