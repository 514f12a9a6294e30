"""Fairness and a storm of cancellations, measured against an idle server.

Used by ``serving_http.py --criteria``. An n=1 client is timed alone, beside a client of another
address that asks for 64 images at a time without a pause (at most 3 times as slow), and after a
thousand requests that were aborted within ten seconds (at most twice as slow).
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import suppress
from typing import Any

from bad_clients import greedy
from http_clients import OPENAI, Place, connected, exchange, message
from server_process import ServerProcess

ALONE, BESIDE = 40, 40
ABORTS, STORM_SECONDS, AT_ONCE = 1000, 10.0, 20
FAIR, FRESH = 3.0, 2.0


async def _one(place: Place, seed: int) -> float:
    """Return the seconds of one image."""
    begin = time.perf_counter()
    answer = await exchange(place, message(OPENAI, {"prompt": 0, "seed": seed}))
    assert answer.status == 200, answer.body[:300]
    return time.perf_counter() - begin


async def _many(place: Place, count: int) -> list[float]:
    return [await _one(place, seed) for seed in range(count)]


async def _beside_greedy(place: Place, count: int) -> list[float]:
    async def for_ever() -> None:
        while True:
            with suppress(OSError, IndexError):
                await greedy(place, "", None)  # type: ignore[arg-type]

    other = asyncio.create_task(for_ever())
    await asyncio.sleep(2)
    try:
        return await _many(place, count)
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def _storm(place: Place) -> float:
    """Abort requests, evenly over the time there is; return the seconds that it took."""
    text = message(OPENAI, {"prompt": 0, "n": 4, "steps": 100})
    begin = time.perf_counter()

    async def abort(number: int) -> None:
        await asyncio.sleep(number * STORM_SECONDS / ABORTS)
        with suppress(OSError):
            async with connected(place) as (_, writer):
                writer.write(text)
                await asyncio.sleep(0.02)

    await asyncio.gather(*(abort(number) for number in range(ABORTS)))
    return time.perf_counter() - begin


async def _measure(place: Place) -> dict[str, Any]:
    await _many(place, 5)
    alone = await _many(place, ALONE)
    beside = await _beside_greedy(place, BESIDE)
    await asyncio.sleep(1)
    idle = statistics.median(await _many(place, ALONE))
    storm = await _storm(place)
    fresh = await _one(place, 1)
    return {"alone": alone, "beside": beside, "idle": idle, "storm": storm, "fresh": fresh}


def criteria(server: ServerProcess) -> tuple[list[tuple[str, Any, str, bool]], dict[str, Any]]:
    """Measure; return criteria with what was found, and facts."""
    found = asyncio.run(_measure(server.place))
    alone, beside = statistics.median(found["alone"]), statistics.median(found["beside"])
    fair, fresh = beside / alone, found["fresh"] / found["idle"]
    status = server.end()
    rows = [
        ("n=1 beside a greedy client, times alone", fair, f"{FAIR:g}", fair <= FAIR),
        ("fresh after a storm, times idle", fresh, f"{FRESH:g}", fresh <= FRESH),
        ("exit status", status, "0", status == 0),
    ]
    facts = {
        "alone_ms": round(1e3 * alone, 1),
        "beside_ms": round(1e3 * beside, 1),
        "idle_ms": round(1e3 * found["idle"], 1),
        "fresh_ms": round(1e3 * found["fresh"], 1),
        "aborts": ABORTS,
        "storm_seconds": round(found["storm"], 1),
    }
    return rows, facts
