"""Whose request over gRPC begins next, and how many in one turn of the event loop."""

import asyncio

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("grpc")


def test_a_few_begin_in_each_turn_and_addresses_take_turns():
    from adagen_rt.serving.grpc.guests import Guest, Guests
    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.starts import STARTED

    async def run():
        guests, begun, turns = Guests(ConnectionLimits()), [], []

        async def one(address):
            await guests.turn(Guest(address))
            begun.append(address)

        tasks = [asyncio.create_task(one(address)) for address in ["a"] * 20 + ["b", "c"]]
        await asyncio.sleep(0)
        for task in tasks[1:10]:  # whoever has gone takes no turn
            task.cancel()
        while not all(task.done() for task in tasks):
            before = len(begun)
            await asyncio.sleep(0)
            turns.append(len(begun) - before)
        return begun, turns

    begun, turns = asyncio.run(run())
    assert max(turns) == STARTED
    assert begun[:4] == ["a", "b", "c", "a"]
    assert len(begun) == 20 + 2 - 9
