"""The client asks again where a server fails, and tells what a server refuses."""

import contextlib
import http.server
import json
import threading

import numpy as np
import pytest
from http_server import running

from adagen_rt import load
from adagen_rt.errors import InputError, ServerError
from adagen_rt.serving import BatchEngine, client

pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(client, "FIRST_WAIT", 0.001)


@contextlib.contextmanager
def faulty(*faults):
    """A server that has these faults, one after the other; gives its URL and what it was sent."""
    seen, left = [], list(faults)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = left.pop(0)
            if status is None:  # the connection breaks within the answer
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()
            thread.join(20)


def test_images_are_those_without_a_server(judged_engine):
    from adagen_rt.serving.http import Fleet, create_app

    with (
        BatchEngine(judged_engine, threads=1) as engine,
        running(create_app(Fleet.of(engine))) as port,
    ):
        asks = client.Client(f"http://127.0.0.1:{port}/")
        got = asks.generate(1, seed=5, n=2, refine=2)
        expected = load(judged_engine, threads=1).generate([1, 1], [5, 6], refine=2)
        np.testing.assert_array_equal([one.pixels for one in got], expected.images)
        (drawn,) = asks.generate("1")
        (again,) = asks.generate("1", seed=drawn.seed)
        np.testing.assert_array_equal(drawn.pixels, again.pixels)
        with pytest.raises(ServerError, match=r"^400: refine: got ") as caught:
            asks.generate(1, refine=0)
        assert caught.value.status == 400


def test_the_same_request_is_sent_again(judged_engine):
    good = json.dumps({"data": []}).encode()
    with faulty((500, b"oh"), (None, b""), (503, b""), (429, b"{}"), (200, good)) as (url, seen):
        assert client.Client(url).generate(3) == []
    assert len(seen) == 5
    assert all(one == seen[0] for one in seen)
    assert seen[0].keys() == {"prompt", "seed", "n"}


def test_it_gives_up_with_what_the_server_said():
    with (
        faulty(*[(503, b'{"error": {"message": "full"}}')] * 2) as (url, seen),
        pytest.raises(ServerError, match=r"^503: full$"),
    ):
        client.Client(url, tries=2).generate(3)
    assert len(seen) == 2


def test_nobody_listens():
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9/v1/images") as caught:
        client.Client("http://127.0.0.1:9", tries=2).generate(3)
    assert caught.value.status is None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"url": "127.0.0.1"}, "url: got '127.0.0.1'"),
        ({"url": "http://x", "timeout": 0}, "timeout: got 0"),
        ({"url": "http://x", "tries": 0}, "tries: got 0"),
    ],
)
def test_bad_input(options, line):
    with pytest.raises(InputError) as caught:
        client.Client(**options)
    assert line in str(caught.value)
