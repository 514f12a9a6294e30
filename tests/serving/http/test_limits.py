"""What is refused before anything parses it, and who is let in."""

import gzip
import socket
import zlib

import pytest
from http_server import ask, running, wait_until

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"
LIMIT = 1 << 20
JSON = {"Content-Type": "application/json"}
PATHS = [GENERATE, "/v2/models/tiny/infer", "/events", "/nowhere"]


def chunks(count, size):
    for _ in range(count):
        yield b" " * size


@pytest.mark.parametrize("path", PATHS)
def test_oversize_bodies(service, path):
    answer = service.ask("POST", path, b" " * (LIMIT + 1), JSON)
    assert answer.status == 413
    assert b"1048576 bytes" in answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [1 << 16, 997])
def test_many_chunks(service, path, size):
    body = chunks(LIMIT // size + 2, size)
    answer = service.ask("POST", path, body, JSON, chunked=True)
    assert answer.status == 413


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_bombs(service, encoding, pack):
    bomb = pack(bytes(1 << 27))
    assert len(bomb) < LIMIT
    for path in PATHS:
        answer = service.ask("POST", path, bomb, {**JSON, "Content-Encoding": encoding})
        assert answer.status == 413


def test_the_largest_body_that_fits_is_parsed(service):
    body = b'{"prompt": "circle"}'.ljust(LIMIT)
    assert service.ask("POST", GENERATE, body, JSON).status == 200
    compressed = {**JSON, "Content-Encoding": "gzip"}
    assert service.ask("POST", GENERATE, gzip.compress(body), compressed).status == 200


def test_a_client_that_expects_to_continue_is_told_at_once(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as opened:
        head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LIMIT + 1}\r\n"
        opened.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert opened.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Encoding": "br"}, 415),
        (b"{}", {"Content-Encoding": "gzip, gzip"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 400),
        # Without a time in it: every process that runs tests has to name them alike.
        (gzip.compress(bytes(5000), mtime=0)[:-9], {"Content-Encoding": "gzip"}, 400),
        (b"", {"Content-Encoding": "deflate"}, 400),
    ],
)
def test_encodings_that_cannot_be_undone(service, body, headers, status):
    answer = service.ask("POST", GENERATE, body, {**JSON, **headers})
    assert answer.status == status


def test_the_bodies_of_all_requests_are_bounded(service, monkeypatch):
    from adagen_rt.serving.http import body

    monkeypatch.setattr(body, "ALL_BYTES", 200_000)
    large, small = b'{"prompt": "circle"}'.ljust(150_000), {"prompt": "circle"}
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as half:
        half.sendall(f"{head}Content-Length: 150000\r\n\r\n".encode() + large[:-1])
        wait_until(lambda: service.ask("POST", GENERATE, large, JSON).status == 503)
        refused = service.ask("POST", GENERATE, large, JSON)
        assert refused.headers["retry-after"] == "1"
        packed = {**JSON, "Content-Encoding": "gzip"}
        assert service.ask("POST", GENERATE, gzip.compress(large), packed).status == 503
        assert service.ask("POST", GENERATE, small).status == 200
        half.sendall(large[-1:])
        assert half.recv(1000).startswith(b"HTTP/1.1 200")
    wait_until(lambda: service.ask("POST", GENERATE, large, JSON).status == 200)


def test_a_body_that_takes_too_long(gated):
    port = gated(body_seconds=0.05).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as opened:
        head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"
        opened.sendall(head.encode() + b"{")
        assert opened.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_timeouts_that_are_none(service, value):
    headers = {"X-Request-Timeout": value}
    answer = service.ask("POST", GENERATE, {"prompt": "circle"}, headers)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "X-Request-Timeout"


@pytest.mark.parametrize(
    "path",
    ["/v1/nothing", "/v2/repository/x", "/v2/models/..%2f..%2fetc%2fpasswd", "/.."],
)
def test_unknown_paths(service, path):
    for method in ("GET", "POST"):
        assert service.ask(method, path).status in (404, 405)


def test_a_token(service):
    from adagen_rt.serving.http import Settings, create_app

    app = create_app(service.fleet, Settings(token="open sesame".replace(" ", "-")))
    body = {"prompt": "circle", "seed": 0}
    with running(app) as port:
        for given in (None, "", "Bearer", "Bearer open-sesamf", "Basic open-sesame", "Bearer \xe9"):
            headers = {} if given is None else {"Authorization": given}
            answer = ask(port, "POST", GENERATE, body, headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        for scheme in ("Bearer", "bearer"):
            headers = {"Authorization": f"{scheme} open-sesame"}
            assert ask(port, "POST", GENERATE, body, headers).status == 200
        for path in ("/metrics", "/v2", "/v1/models", "/openapi.json", "/v2/models/tiny"):
            assert ask(port, "GET", path).status == 401
        for path in ("/", "/v2/health/live", "/v2/health/ready"):
            assert ask(port, "GET", path).status == 200
