"""Loading while the server answers already."""

import signal
import socket
import threading

import pytest
from http_server import ask, wait_until

pytest.importorskip("fastapi")


def test_an_engine_that_fails_to_load_ends_the_server():
    from adagen_rt.errors import EngineError
    from adagen_rt.serving.http.repository import Source
    from adagen_rt.serving.http.server import Server
    from adagen_rt.serving.http.settings import Settings

    before = signal.getsignal(signal.SIGTERM)

    def load():
        raise EngineError("tiny: damaged")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server({"tiny": Source(load)}, Settings())
        with pytest.raises(EngineError, match="damaged"):
            server.serve_on(listener)
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_answers_while_engines_warm_up(judged_engine):
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http.repository import Source
    from adagen_rt.serving.http.server import Server
    from adagen_rt.serving.http.settings import Settings

    warm = threading.Event()

    def load():
        assert warm.wait(30)
        return BatchEngine(judged_engine, threads=1)

    statuses = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server({"tiny": Source(load)}, Settings())
        thread = threading.Thread(target=lambda: statuses.append(server.serve_on(listener)))
        thread.start()
        port = listener.getsockname()[1]
        try:
            assert ask(port, "GET", "/v2/health/live").status == 200
            assert ask(port, "GET", "/v2/health/ready").status == 503
            assert ask(port, "GET", "/v2/models/tiny/ready").status == 503
            assert ask(port, "GET", "/v1/models").json()["data"] == []
            warm.set()
            wait_until(lambda: ask(port, "GET", "/v2/health/ready").status == 200)
            assert ask(port, "POST", "/events", {"label": 0}).status == 200
            assert b'adagen_images_total{model="tiny",outcome="ok"} 1.0' in metrics(port)
        finally:
            warm.set()
            server.handle_exit(signal.SIGTERM, None)
            thread.join(20)
    assert statuses == [0]


def metrics(port):
    return ask(port, "GET", "/metrics").body
