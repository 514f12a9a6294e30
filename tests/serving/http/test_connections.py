"""Connections that send nothing, little, or read nothing, and how many there may be."""

import json
import logging
import socket
import subprocess
import threading
from contextlib import ExitStack, contextmanager

import pytest
from http_server import ask, wait_until
from process import start_python

pytest.importorskip("fastapi")

LIVE = "/v2/health/live"
HEAD = f"GET {LIVE} HTTP/1.1\r\nHost: localhost\r\n"


@contextmanager
def serving(app=None, **limits):
    """A server of no engine with limits of connections; gives its port and its door."""
    from adagen_rt.serving.http import Settings
    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.server import Server

    server = Server({}, Settings(), ConnectionLimits(**limits))
    if app is not None:
        server.config.app = app
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.serve_on, args=(listener,))
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield port
    finally:
        server.should_exit = server.force_exit = True
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def opened():
    """Returns a function that opens connections, which are closed at the end."""
    with ExitStack() as stack:

        def connect(port, count=1, host="127.0.0.1"):
            source = (host, 0)
            found = [
                socket.create_connection(("127.0.0.1", port), timeout=20, source_address=source)
                for _ in range(count)
            ]
            for one in found:
                stack.enter_context(one)
            return found

        yield connect


def alive(connection):
    """Ask on a connection whether the server is alive, and read the whole answer."""
    connection.sendall(f"{HEAD}\r\n".encode())
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(1000)
    return answer.startswith(b"HTTP/1.1 200")


def closed(connection):
    """Whether the server has closed a connection, or does within its timeout."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


def test_a_connection_that_sends_nothing_is_closed(opened):
    with serving(head_seconds=0.3) as port:
        (silent,) = opened(port)
        assert closed(silent)


def test_a_head_that_drips_is_given_up(opened):
    with serving(head_seconds=0.3) as port:
        (dripping,) = opened(port)
        stop = threading.Event()

        def drip():
            dripping.sendall(HEAD.encode())
            while not stop.wait(0.05):
                try:
                    dripping.sendall(b"x: y\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        assert closed(dripping)
        stop.set()
        thread.join()


def test_a_head_that_drips_after_an_answer_is_given_up(opened):
    with serving(head_seconds=0.3, keep_alive_seconds=0.3) as port:
        (kept,) = opened(port)
        assert alive(kept)
        kept.sendall(b"GET / HT")
        assert closed(kept)


def test_a_head_of_thousands_of_fields_is_refused(opened):
    with serving() as port:
        some, many = ("".join(f"a{i}:\r\n" for i in range(count)) for count in (1000, 3000))
        few, refused = opened(port, 2)
        few.sendall(f"{HEAD}{some}\r\n\r\n".encode())
        assert few.recv(1000).startswith(b"HTTP/1.1 200")
        refused.sendall(f"{HEAD}{many}".encode())
        assert refused.recv(1000).startswith(b"HTTP/1.1 400")
        assert closed(refused)


def test_an_idle_connection_is_kept_alive_and_then_closed(opened):
    with serving(head_seconds=20, keep_alive_seconds=0.5) as port:
        (kept,) = opened(port)
        for _ in range(3):
            assert alive(kept)
        assert closed(kept)


busy = threading.Semaphore(0)


async def held(scope, receive, send):
    """Answer nothing until the client leaves, but for a probe."""
    if scope["path"] != LIVE:
        busy.release()
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def test_a_reader_that_reads_nothing_is_given_up(opened):
    ended = threading.Event()

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        # More than the system's buffers hold.
        for _ in range(64):
            body = {"type": "http.response.body", "body": bytes(1 << 20), "more_body": True}
            await send(body)
        ended.set()

    with serving(app, write_seconds=0.3) as port:
        (deaf,) = opened(port)
        deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ended.wait(20)


@pytest.mark.parametrize("limits", [{"total": 8}, {"per_address": 8}])
def test_who_comes_beyond_the_limit_takes_the_place_of_the_longest_idle(opened, limits):
    with serving(head_seconds=20, **limits) as port:
        idle = opened(port, 8)
        for number in range(20):
            assert ask(port, "GET", LIVE, timeout=10).status == 200
            if number == 0:
                assert closed(idle[0])
        idle[-1].sendall(f"{HEAD}\r\n".encode())
        opened(port, 200)
        assert ask(port, "GET", LIVE, timeout=10).status == 200


def test_the_place_is_that_of_the_largest_crowd(opened):
    with serving(head_seconds=20, total=8) as port:
        others = opened(port, 2, "127.0.0.3")
        opened(port, 20, "127.0.0.2")
        for one in others:
            assert alive(one)


def test_probes_are_answered_when_every_connection_is_busy(opened):
    with serving(held, head_seconds=20, total=4) as port:
        for one in opened(port, 4):
            one.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert busy.acquire(timeout=20)
        refused = ask(port, "GET", "/v1/models")
        assert refused.json()["error"]["code"] == "too_many_connections"
        assert "retry-after" in refused.headers
        opened(port, 100)
        for _ in range(20):
            assert ask(port, "GET", LIVE, timeout=10).status == 200


def test_a_thousand_idle_connections_of_a_process_with_few_files(judged_engine, opened):
    """The command alone, where its files are fewer than the connections."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200));"
        "from adagen_rt.cli import main; main()"
    )
    arguments = ("serve", judged_engine, "--port", 0, "--threads", 1)
    process = start_python(code, *arguments, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(json.loads(line))
            if lines[-1]["message"] == "ready":
                break
        url = next(line["url"] for line in lines if line["message"] == "listening")
        port = int(url.rpartition(":")[2])
        opened(port, 400)
        for _ in range(10):
            assert ask(port, "GET", LIVE, timeout=10).status == 200
        process.terminate()
        rest = process.stderr.read()
        assert len(rest) < 20_000
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(("servers", "most"), [(1, 356), (2, 170)])
def test_all_servers_of_a_process_share_its_files(monkeypatch, servers, most):
    import resource

    from adagen_rt.serving.http.connections import ConnectionLimits
    from adagen_rt.serving.http.files_limit import fitted

    monkeypatch.setattr(resource, "getrlimit", lambda _: (500, 500))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert fitted(ConnectionLimits(), servers).total == most
    small = ConnectionLimits(total=100)
    assert fitted(small, servers) == small


def test_what_comes_a_thousand_times_is_one_line_in_the_log(caplog):
    from adagen_rt.serving.http.logs import Repeated

    repeated = Repeated(logging.getLogger("x"), "again")
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            repeated.log(error="no file")
    assert len(caplog.records) == 1
    assert caplog.records[0].fields == {"error": "no file", "times": 1}


def test_refused_connections_are_one_line_in_the_log(caplog):
    from adagen_rt.serving.http import Settings
    from adagen_rt.serving.http.server import Server

    context = {
        "message": "socket.accept() out of system resource",
        "exception": OSError(24, "Too many open files"),
    }
    server = Server({}, Settings())
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            server._note(None, context)
    assert len(caplog.records) == 1
    assert "Too many open files" in caplog.records[0].fields["error"]


def test_a_crowd_is_let_in_a_few_at_a_time(opened, monkeypatch):
    """All of a crowd in one turn of the event loop would keep a probe waiting."""
    import asyncio

    from adagen_rt.serving.http.connections import Connection
    from adagen_rt.serving.http.listening import ACCEPTED

    held, go, turns = threading.Event(), threading.Event(), []

    class Counted(Connection):
        def connection_made(self, transport):
            super().connection_made(transport)
            turns[-1] += 1

    def hold():
        held.set()
        assert go.wait(20)

    run_once = asyncio.base_events.BaseEventLoop._run_once

    def counted(loop):
        turns.append(0)
        run_once(loop)

    monkeypatch.setattr("adagen_rt.serving.http.listening.Connection", Counted)
    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "_run_once", counted)

    async def app(scope, receive, send):
        hold()

    with serving(app) as port:
        (first,) = opened(port)
        first.sendall(f"{HEAD}\r\n".encode())
        assert held.wait(20)
        # The system keeps them waiting: none of them is turned away.
        opened(port, 200)
        before = len(turns)
        go.set()
        wait_until(lambda: sum(turns[before:]) >= 200)
    assert max(turns[before:]) <= 2 * ACCEPTED
