"""A server in a process of its own: where it listens, and how it ends."""

import json
import signal
import socket
import subprocess
import threading

import pytest
from http_server import ask, wait_until
from process import start_python
from server_process import COMMAND, Process

pytest.importorskip("fastapi")

#: A server whose steps take as long as it is told.
SLOW = """
import socket, sys, time
from adagen_rt.engine.folder import open_engine
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.ops.noise import Philox
from adagen_rt.serving import BatchEngine
from adagen_rt.serving.http.logs import log_json
from adagen_rt.serving.http.repository import Source
from adagen_rt.serving.http.server import Server
from adagen_rt.serving.http.settings import Settings

def slow(seeds, steps):
    time.sleep(float(sys.argv[2]) * (steps.max() > 0))
    return Philox(seeds, steps)

log_json()
load = lambda: BatchEngine(StepwisePipeline(open_engine(sys.argv[1]), noise=slow), max_batch=1)
server = Server({"tiny": Source(load)}, Settings())
sys.exit(server.serve_on(socket.create_server(("127.0.0.1", 0))))
"""
GENERATE = "/v1/images/generations"


def later(server, body):
    """Ask in a thread, which fails if the server drops the connection."""
    answers = []

    def target():
        try:
            answers.append(ask(server.port, "POST", GENERATE, body).status)
        except OSError as error:
            answers.append(type(error))

    thread = threading.Thread(target=target)
    thread.start()
    wait_until(lambda: b"adagen_running{" in metrics(server) and number(server, "running") == 1)
    return thread, answers


def metrics(server):
    return ask(server.port, "GET", "/metrics").body


def number(server, name):
    line = next(
        line
        for line in metrics(server).decode().splitlines()
        if line.startswith(f"adagen_{name}{{")
    )
    return float(line.split()[-1])


def test_the_command_serves_and_ends(judged_engine):
    with Process(COMMAND, "serve", judged_engine, "--port", 0, "--threads", 1) as server:
        assert server.host == "127.0.0.1"
        assert ask(server.port, "GET", "/v2/health/ready").status == 200
        headers = {"X-Request-Id": "from-outside"}
        answer = ask(server.port, "POST", GENERATE, {"prompt": "circle"}, headers)
        assert answer.status == 200
        assert server.stop(signal.SIGTERM) == 0
        line = next(line for line in server.lines if line.get("request_id") == "from-outside")
        told = {"route": GENERATE, "status": 200, "model": "tiny", "images": 1, "level": "info"}
        assert told.items() <= line.items()


def test_sigterm_drains(judged_engine):
    with Process(SLOW, judged_engine, 0.2) as server:
        thread, answers = later(server, {"prompt": 0, "steps": 6})
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: ask(server.port, "GET", "/v2/health/ready").status == 503, 0.5)
        assert ask(server.port, "GET", "/v2/health/live").status == 200
        refused = ask(server.port, "POST", GENERATE, {"prompt": 0})
        assert refused.status == 503
        assert "retry-after" in refused.headers
        assert not answers
        assert server.stop() == 0
        thread.join()
        assert answers == [200]


@pytest.mark.parametrize("signals", [(signal.SIGTERM,) * 2, (signal.SIGINT, signal.SIGTERM)])
def test_a_second_signal_stops_at_once(judged_engine, signals):
    with Process(SLOW, judged_engine, 0.2) as server:
        thread, answers = later(server, {"prompt": 0, "steps": 500})
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as half:
            head = "POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
            half.sendall(f"{head}\r\n{{".encode())
            server.process.send_signal(signals[0])
            wait_until(lambda: server.find("draining"))
            assert server.stop(signals[1]) == 1
            answer = half.makefile("rb").read()
        thread.join()
        # Each API has its own shape of errors.
        assert answers == [503]
        assert answer.startswith(b"HTTP/1.1 503")
        assert answer.endswith(b'{"error":"the server is shutting down"}')


#: The command, whose engines take longer to load than anybody waits.
LOADING = """
import time
from adagen_rt import cli
from adagen_rt.cli.support.serve_engines import GivenEngine

GivenEngine.load = lambda *arguments: time.sleep(60)
cli.main()
"""


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_engines_are_loaded(judged_engine, signal_):
    arguments = ("serve", judged_engine, "--port", 0, "--threads", 1)
    process = start_python(LOADING, *arguments, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if json.loads(line)["message"] == "listening":
                break
        process.send_signal(signal_)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_an_engine_that_cannot_be_loaded_ends_the_server(own_engine):
    (own_engine / "backbone.onnx").write_bytes(b"junk")
    process = start_python(
        COMMAND, "serve", own_engine, "--port", 0, stderr=subprocess.PIPE, text=True
    )
    _, text = process.communicate(timeout=60)
    assert process.returncode == 2
    assert text.startswith("Error: ")
    assert "SHA-256" in text
    assert text.count("\n") == 1
