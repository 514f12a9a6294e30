"""An application under a real uvicorn in a thread, and a plain client for it."""

import http.client
import json
import signal
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


def ask(port, method, path, body=None, headers=(), chunked=False, timeout=30):
    """One request on a connection of its own; a body that is no bytes goes as JSON."""
    headers = dict(headers)
    if body is not None and not isinstance(body, bytes) and not chunked:
        body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def begin(port, path, body):
    """Send a JSON request and return its socket, unread."""
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    opened = socket.create_connection(("127.0.0.1", port), timeout=30)
    opened.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
    return opened


def events(text):
    """Name and data of each server-sent event in ``text``."""
    found = []
    for part in text.strip().split("\n\n"):
        name, data = part.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def wait_until(condition, seconds=20):
    """Wait for what another thread or process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@contextmanager
def running(app):
    """Serves ``app``; gives the port."""
    import uvicorn

    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive()


class Gate:
    """Noise that can be held back: a pipeline that uses it stops within a step.

    Attributes:
        steps: Steps of slots that asked for noise.
    """

    def __init__(self):
        self._open = threading.Event()
        self._open.set()
        self.steps = 0

    def shut(self):
        self._open.clear()

    def open(self):
        self._open.set()

    def __call__(self, seeds, steps):
        from adagen_rt.ops.noise import Philox

        assert self._open.wait(30), "a test left the gate shut"
        self.steps += len(seeds)
        return Philox(seeds, steps)


@contextmanager
def serving(sources, settings=None, listener=None, **options):
    """Serves engines as the command does, on a thread; gives the server and its port or path."""
    from adagen_rt.serving.http import Settings
    from adagen_rt.serving.http.server import Server

    listener = listener or socket.create_server(("127.0.0.1", 0))
    server = Server(sources, settings or Settings(), **options)
    statuses = []
    with listener:
        thread = threading.Thread(target=lambda: statuses.append(server.serve_on(listener)))
        thread.start()
        try:
            wait_until(lambda: server.started and (server.fleet.ready or server.failure))
            place = listener.getsockname()
            yield server, place[1] if isinstance(place, tuple) else place
        finally:
            if not server._draining:  # a second signal ends this process within seconds
                server.handle_exit(signal.SIGTERM, None)
            thread.join(20)
    assert statuses == [0]
