"""Bad arguments of `serve`; what it does is tested under serving/http."""

import importlib
import os
import socket

import pytest

from adagen_rt.errors import AdagenError

pytest.importorskip("fastapi")

SIZES = {"max_batch": 2, "max_queue": 4, "max_queue_cost": 100, "max_side": 64, "cache_mb": 0}
RUNS = {"backend": "onnxruntime", "threads": 1, "provider": None, "precision": None, "plans": None}
COMMON = {**SIZES, **RUNS}


def read(typed, written=()):
    from adagen_rt.cli.support.serve_engines import read_engines

    return read_engines(typed, written, COMMON)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", 70000), "port: got 70000, expected an integer from 0 to 65535"),
        (("--max-batch", 0), "max-batch: got 0"),
        (("--max-queue", 0), "max-queue: got 0"),
        (("--threads", 0), "threads: got 0"),
        (("--timeout", 0), "timeout: got 0"),
        (("--timeout", "nan"), "timeout: got nan"),
        (("--token-file", "nowhere"), "nowhere"),
        (("--devices", "0,1"), "devices: got '0,1', expected none with the backend onnxruntime"),
        (("--backend", "torch", "--devices", "0,0"), "devices: got '0,0'"),
        (
            ("--backend", "torch", "--devices", "0,1", "--workers", 1),
            "workers: got 1, expected at least 2, one a device",
        ),
        (("--backend", "torch", "--threads", 0), "threads: got 0"),
    ],
)
def test_bad_options(refuse, tiny_engine, options, told):
    assert told in refuse("serve", tiny_engine, *options)


GPU = {**COMMON, "backend": "torch", "threads": None, "workers": None, "grpc_port": None}
SERVED = {**GPU, "host": "127.0.0.1", "max_connections": 100, "model_control": False}


@pytest.mark.parametrize(
    ("devices", "workers", "seen"),
    [("0,1", None, ["5", "7"]), ("1", 2, ["7", "7"]), ("1,0", 3, ["7", "5", "7"])],
)
def test_each_worker_sees_a_device_of_its_own(tiny_engine, monkeypatch, devices, workers, seen):
    from adagen_rt.bulk.devices import VISIBLE
    from adagen_rt.serving.http.workers import Workers

    module = importlib.import_module("adagen_rt.cli.serve")
    given = {**SERVED, "devices": devices, "workers": workers}
    monkeypatch.setattr("adagen_rt.serving.http.logs.log_json", lambda: None)
    made = module.make_workers([str(tiny_engine)], (), given)
    assert isinstance(made, Workers)
    found = []
    for number in range(made._count):
        monkeypatch.setenv(VISIBLE, "5,7")
        made._make(*made._given, number)
        found.append(os.environ[VISIBLE])
    assert found == seen
    assert made._given[-1]["threads"] is None


def test_one_device_needs_no_other_process(tiny_engine, monkeypatch):
    module = importlib.import_module("adagen_rt.cli.serve")
    assert module.make_workers([], (), {**SERVED, "devices": "1"}) is None
    loaded = []
    monkeypatch.setattr(module, "make_server", lambda engines, given: loaded.append(engines))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    given = {**SERVED, "devices": "1"}
    module.make_alone(module.read_engines([str(tiny_engine)], (), given), given)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    (engine,) = loaded[0].values()
    assert (engine.execution.backend, engine.execution.threads) == ("torch", None)


def test_without_a_gpu_it_says_so(tiny_engine):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    from adagen_rt.cli.support.serve_engines import read_engines

    (engine,) = read_engines([str(tiny_engine)], (), GPU).values()
    with pytest.raises(AdagenError, match=r"GPU|torch-cuda|CUDA"):
        engine.load()


def test_no_engine(refuse):
    assert "ENGINE" in refuse("serve")
    assert "nowhere" in refuse("serve", "nowhere")


def test_the_same_engine_twice(refuse, tiny_engine):
    assert "different names" in refuse("serve", tiny_engine, tiny_engine)


def test_engines_take_the_names_that_they_are_given(tiny_engine):
    assert list(read([str(tiny_engine), f"other={tiny_engine}"])) == ["tiny", "other"]


@pytest.mark.parametrize("name", ["", "a b", "../evil", "a" * 101])
def test_names_that_no_engine_can_have(refuse, tiny_engine, name):
    assert refuse("serve", f"{name}={tiny_engine}").startswith("Error: name: got ")


def test_a_folder_with_an_equals_sign(tiny_engine, tmp_path):
    folder = tmp_path / "a=b"
    folder.symlink_to(tiny_engine)
    assert list(read([str(folder)])) == ["tiny"]


@pytest.mark.parametrize("content", ["", " \n", "two words", "tab\there", "café"])
def test_tokens_that_no_header_can_carry(refuse, tiny_engine, tmp_path, content):
    (tmp_path / "token").write_text(content)
    line = refuse("serve", tiny_engine, "--token-file", tmp_path / "token")
    assert line.startswith("Error: token-file: ")
    assert content.strip() == "" or content not in line


def test_an_empty_token_in_the_environment(refuse, tiny_engine, monkeypatch):
    monkeypatch.setenv("ADAGEN_TOKEN", "")
    assert "ADAGEN_TOKEN" in refuse("serve", tiny_engine)


def test_a_port_in_use(refuse, tiny_engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = refuse("serve", tiny_engine, "--port", taken.getsockname()[1])
    assert "in use" in line


def test_without_the_extra(refuse, tiny_engine, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith("adagen_rt.serving.http")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'adagen-rt[serve]'" in refuse("serve", tiny_engine)
