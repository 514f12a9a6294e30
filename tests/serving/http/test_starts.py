"""Whose request begins next, and how many in one turn of the event loop."""

import asyncio
import socket
from dataclasses import dataclass, field

import pytest
from http_server import ask, begin, serving, wait_until

pytest.importorskip("fastapi")

LIVE = "/v2/health/live"


@dataclass
class Held:
    """A connection that notes when its request began."""

    address: str
    begun: list
    loop: asyncio.AbstractEventLoop
    held: bytearray | None = field(default_factory=bytearray)

    def begin(self):
        self.begun.append(self.address)


def begun_in_turns(addresses, left=()):
    """Addresses whose requests began, a list for each turn of the loop."""
    from adagen_rt.serving.http.starts import Starts

    async def run():
        loop, begun, turns = asyncio.get_running_loop(), [], []
        starts = Starts()
        for number, address in enumerate(addresses):
            one = Held(address, begun, loop)
            starts.add(one)
            if number in left:
                one.held = None
        while not turns or turns[-1]:
            await asyncio.sleep(0)
            turns.append(begun[:])
            begun.clear()
        return turns[:-1]

    return asyncio.run(run())


def test_a_few_begin_in_each_turn():
    from adagen_rt.serving.http.starts import STARTED

    turns = begun_in_turns(["a"] * (3 * STARTED + 1))
    assert [len(turn) for turn in turns] == [STARTED] * 3 + [1]


def test_addresses_take_turns():
    turns = begun_in_turns(["a"] * 50 + ["b", "c"])
    assert [address for turn in turns for address in turn][:5] == ["a", "b", "c", "a", "a"]


def test_who_has_left_does_not_begin():
    assert begun_in_turns(["a"] * 20, left=range(1, 20)) == [["a"]]


def test_requests_that_wait_to_begin_are_answered_and_aborted_ones_cost_nothing(judged_engine):
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http.repository import Source

    engine = BatchEngine(judged_engine, threads=1, max_queue=200)
    with serving({"tiny": Source(lambda: engine)}) as (_, port):
        opened = [begin(port, "/events", {"label": 0, "steps": 50}) for _ in range(30)]
        for one in opened[::2]:
            one.close()
        assert ask(port, "GET", LIVE).status == 200
        for one in opened[1::2]:
            text = b""
            while b"event: done" not in text:
                text += one.recv(1 << 16)
            one.close()
        wait_until(lambda: engine.stats().running == engine.stats().queued == 0)
    assert engine.stats().finished["ok"] == 15


def test_a_large_body_of_a_request_that_waits_arrives_whole(judged_engine):
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http.repository import Source

    with serving({"tiny": Source(lambda: BatchEngine(judged_engine, threads=1))}) as (_, port):
        body = {"prompt": "x" * 500_000}
        answer = ask(port, "POST", "/v1/images/generations", body)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "prompt"


def test_requests_that_were_sent_ahead_have_a_turn_each(judged_engine, monkeypatch):
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http.repository import Source
    from adagen_rt.serving.http.starts import Starts

    turns, add = [], Starts.add

    def count(starts, connection):
        turns.append(connection.address)
        add(starts, connection)

    monkeypatch.setattr(Starts, "add", count)
    sources = {"tiny": Source(lambda: BatchEngine(judged_engine, threads=1))}
    text = b"GET /v2/models/tiny HTTP/1.1\r\nHost: localhost\r\n"
    with serving(sources) as (_, port), socket.create_connection(("127.0.0.1", port), 30) as opened:
        opened.sendall(3 * (text + b"\r\n") + text + b"Connection: close\r\n\r\n")
        answers = b""
        while part := opened.recv(1 << 16):
            answers += part
    assert answers.count(b"HTTP/1.1 200") == 4
    assert answers.count(b'"name":"tiny"') == 4
    assert len(turns) == 4
