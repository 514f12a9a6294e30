"""The command with a file of options, a Unix socket, and a delay before it drains."""

import json
import signal
import socket
import time

import pytest
from http_server import wait_until
from server_process import COMMAND, Process

pytest.importorskip("fastapi")


def ask_at(path, target, body=None):
    """Status and body of a request on a Unix socket."""
    text = b"" if body is None else json.dumps(body).encode()
    verb = "GET" if body is None else "POST"
    head = f"{verb} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as opened:
        opened.settimeout(20)
        opened.connect(str(path))
        opened.sendall(head.encode() + text)
        answer = opened.makefile("rb").read()
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


def test_a_file_a_socket_and_a_delay(judged_engine, tmp_path):
    place = tmp_path / "socket"
    engines = {"one": str(judged_engine), "two": {"engine": str(judged_engine), "max-batch": 3}}
    config = {"engines": engines, "unix-socket": str(place), "max-batch": 2, "drain-delay": 3600}
    (tmp_path / "serve.json").write_text(json.dumps({**config, "threads": 1}))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))  # by a server that was killed
    with Process(COMMAND, "serve", "--config", tmp_path / "serve.json", listens=False) as server:
        assert server.find("listening")["url"] == f"unix:{place}"
        assert place.stat().st_mode & 0o777 == 0o600
        metrics = ask_at(place, "/metrics")[1].decode()
        assert 'adagen_slots{model="one"} 2.0' in metrics
        assert 'adagen_slots{model="two"} 3.0' in metrics
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.find("reloaded"))
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask_at(place, "/v2/health/ready")[0] == 503)
        body = {"model": "two", "prompt": 0}
        assert ask_at(place, "/v1/images/generations", body)[0] == 200
        assert server.stop(signal.SIGTERM) == 1
    assert not place.exists()


def test_after_the_delay_it_ends(judged_engine):
    from http_server import serving

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http.repository import Source

    sources = {"tiny": Source(lambda: BatchEngine(judged_engine, threads=1))}
    with serving(sources, drain_delay=0.5) as (server, _):
        begin = time.monotonic()
        server.handle_exit(signal.SIGTERM, None)
        assert not server.fleet.ready
        assert not server.fleet.draining
        wait_until(lambda: server.should_exit)
        assert time.monotonic() - begin >= 0.5


def test_a_socket_that_is_taken(refuse, tiny_engine, tmp_path):
    place = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(place))
        taken.listen()
        assert "nobody listens" in refuse("serve", tiny_engine, "--unix-socket", place)
    file = tmp_path / "file"
    file.write_text("precious")
    assert "where nothing is" in refuse("serve", tiny_engine, "--unix-socket", file)
    assert file.read_text() == "precious"
    long = tmp_path / ("x" * 200)
    assert "shorter" in refuse("serve", tiny_engine, "--unix-socket", long)


@pytest.mark.parametrize(
    ("engines", "told"),
    [
        ([], "ENGINE: got 'none'"),
        ("tiny", "engines: got 'tiny'"),
        ({"a": {"max-batch": 2}}, "engines.a"),
        ({"a": {"engine": "ENGINE", "colour": 2}}, "engines.a: got 'colour'"),
        ({"a": {"engine": "ENGINE", "max-batch": 0}}, "max-batch: got 0"),
        ({"a": {"engine": "ENGINE", "threads": "many"}}, "threads: got 'many'"),
        ({"a b": "ENGINE"}, "name: got 'a b'"),
        (["ENGINE", "ENGINE"], "different names"),
    ],
)
def test_engines_of_a_file(refuse, tiny_engine, tmp_path, engines, told):
    text = json.dumps({"engines": engines}).replace("ENGINE", str(tiny_engine))
    (tmp_path / "serve.json").write_text(text)
    assert told in refuse("serve", "--config", tmp_path / "serve.json")
