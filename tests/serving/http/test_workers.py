"""Several processes behind one address: images, metrics, deaths and ends."""

import importlib.util
import os
import re
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from http_server import ask, wait_until
from process import run_python
from server_process import COMMAND, Process

from adagen_rt.serving.http.workers import Workers

pytest.importorskip("fastapi", reason="needs the extra serve")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's list of processes")
#: For processes to start on a busy machine.
PATIENCE = 120


@pytest.fixture(scope="module")
def server(judged_engine):
    options = ["--port", "0", "--threads", "1", "--workers", "2"]
    if importlib.util.find_spec("grpc"):
        options += ["--grpc-port", "0"]
    with Process(COMMAND, "serve", judged_engine, *options) as started:
        wait_until(lambda: sum(line["message"] == "ready" for line in started.lines) == 2, PATIENCE)
        yield started


def workers(server):
    """Processes that a server keeps, without the one that Python keeps beside them."""
    number = server.process.pid
    found = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


def client(server, **options):
    from adagen_rt.serving.client import Client

    return Client(f"http://127.0.0.1:{server.port}", **options)


def images(server, seeds, **options):
    asks = client(server, **options)
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda seed: asks.generate(1, seed=seed)[0].pixels, seeds))


def counted(server):
    text = ask(server.port, "GET", "/metrics").body.decode()
    return {
        name: float(re.search(rf"^adagen_{name}{{[^}}]*}} (\S+)$", text, re.M)[1])
        for name in ("images_submitted_total", "slots")
    }


def statistics(server):
    (told,) = ask(server.port, "GET", "/v2/models/stats").json()["model_stats"]
    return told


def test_images_are_those_without_a_server_and_counted_once(server, offline):
    expected = offline([1] * 12, list(range(12))).images
    np.testing.assert_array_equal(images(server, range(12)), expected)
    assert {counted(server)["images_submitted_total"] for _ in range(8)} == {12.0}
    wait_until(lambda: counted(server)["slots"] == 32.0)
    # Each process tells the others once a second what it has done.
    wait_until(lambda: {statistics(server)["inference_count"] for _ in range(8)} == {12})
    told = statistics(server)
    steps = sum(one["compute_infer"]["count"] for one in told["batch_stats"])
    assert steps == told["execution_count"] > 0
    assert len(workers(server)) == 2


def test_calls_of_grpc_are_spread_over_all_and_counted_once(server, offline):
    grpc = pytest.importorskip("grpc")
    triton = pytest.importorskip("tritonclient.grpc")
    before = counted(server)["images_submitted_total"]
    urls = [line["url"] for line in list(server.lines) if line["message"] == "listening"]
    (address,) = {url.removeprefix("grpc://") for url in urls if url.startswith("grpc:")}

    def call(seed):
        # Otherwise all clients of a process have one connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        with triton.InferenceServerClient(address, channel_args=own) as client:
            assert client.is_server_ready()
            given = [triton.InferInput(name, [1], "INT64") for name in ("label", "seed")]
            for one, value in zip(given, (1, seed), strict=True):
                one.set_data_from_numpy(np.array([value]))
            return client.infer("tiny", given).as_numpy("image")[0]

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(call, range(24)))
    np.testing.assert_array_equal(got, offline([1] * 24, list(range(24))).images)
    assert counted(server)["images_submitted_total"] == before + 24
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    port = f"0100007F:{int(address.rpartition(':')[2]):04X} "
    assert sum(port in one and " 0A " in one for one in tables.splitlines()) == 2
    with pytest.raises(grpc.RpcError), grpc.insecure_channel(address) as channel:
        channel.unary_unary("/nothing/here")(b"", timeout=20)


def test_one_that_is_stopped_takes_no_connection(server, offline):
    stopped = workers(server)[0]
    os.kill(stopped, signal.SIGSTOP)
    try:
        got = images(server, range(6), timeout=10)
    finally:
        os.kill(stopped, signal.SIGCONT)
    np.testing.assert_array_equal(got, offline([1] * 6, list(range(6))).images)


def test_one_that_dies_is_replaced_and_all_end_together(server, offline):
    killed, other = workers(server)
    os.kill(killed, signal.SIGKILL)
    got = images(server, range(6), tries=20)
    np.testing.assert_array_equal(got, offline([1] * 6, list(range(6))).images)
    wait_until(lambda: len(set(workers(server)) - {killed}) == 2, PATIENCE)
    wait_until(lambda: sum(line["message"] == "ready" for line in server.lines) == 3, PATIENCE)
    assert server.find("a worker has ended; another takes its place")["status"] == -signal.SIGKILL
    left = workers(server)
    assert other in left
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 0
    assert not any(Path(f"/proc/{one}/cmdline").exists() for one in left)


def test_workers_end_with_who_keeps_them(judged_engine, tmp_path, monkeypatch):
    """Their metrics are removed by the next who keeps workers, here none."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = ["--port", "0", "--threads", "1", "--workers", "2"]
    with Process(COMMAND, "serve", judged_engine, *options) as started:
        left = workers(started)
        started.process.kill()
        wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in left), PATIENCE)
    (metrics,) = tmp_path.glob(".metrics.*")
    assert list(metrics.glob("*.db"))
    assert Workers(lambda: pytest.fail("none was asked for"), (), 0).serve_on(None) == 0
    assert not metrics.exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--workers", 0), "workers: got 0"),
        (
            ("--workers", 2, "--model-control"),
            "model-control: got 'set', expected one of --workers",
        ),
    ],
)
def test_bad_input_is_one_line(judged_engine, options, line):
    done = run_python(COMMAND, "serve", judged_engine, "--port", 0, *options)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stderr.count("\n") == 1
