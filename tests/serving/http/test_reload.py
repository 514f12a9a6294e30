"""Engines that are replaced, unloaded and loaded while requests come."""

import logging
import shutil
import threading

import numpy as np
import pytest
from http_server import serving, wait_until
from tiny_engine import Options, build_tiny_engine

import adagen_rt

pytest.importorskip("fastapi")
triton = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException

CONTROL = {"model_control": True}


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Two engines of one name whose images differ, and their images of class 1."""
    root = tmp_path_factory.mktemp("versions")
    folders = [build_tiny_engine(root / str(seed), Options(seed=seed)) for seed in (0, 1)]
    images = [adagen_rt.load(folder, threads=1).generate([1], [5]).images for folder in folders]
    assert (images[0] != images[1]).any()
    return folders, images


@pytest.fixture
def place(others, tmp_path):
    """A folder that an operator fills anew."""
    return shutil.copytree(others[0][0], tmp_path / "engine")


def refill(place, folder):
    shutil.rmtree(place)
    shutil.copytree(folder, place)


def source(place):
    from adagen_rt.cli.support.serve_engines import read_engines
    from adagen_rt.serving.http.repository import Source

    common = {"max_batch": 4, "max_queue": 64, "max_queue_cost": 1 << 20, "max_side": 64}
    common |= {"cache_mb": 0, "threads": 1, "backend": "onnxruntime"}
    common |= dict.fromkeys(("provider", "precision", "plans"))
    given = read_engines([str(place)], (), common)["tiny"]
    return {"tiny": Source(given.load, given.mark)}


@pytest.fixture
def served(place):
    from adagen_rt.serving.http import Settings

    with serving(source(place), Settings(**CONTROL)) as (server, port):
        client = triton.InferenceServerClient(f"127.0.0.1:{port}", concurrency=2)
        yield server, client
        client.close()


def image(client):
    tensors = []
    for name, value in (("label", 1), ("seed", 5)):
        tensor = triton.InferInput(name, [1], "INT64")
        tensor.set_data_from_numpy(np.array([value]))
        tensors.append(tensor)
    return client.infer("tiny", tensors).as_numpy("image")


def told(caplog, message):
    return [record for record in list(caplog.records) if record.getMessage() == message]


def hang_up(server, caplog):
    caplog.clear()
    server.handle_hang_up(1, None)
    wait_until(lambda: told(caplog, "reloaded"))


def test_an_engine_is_replaced_under_load(served, others, place, caplog):
    caplog.set_level(logging.INFO)
    server, client = served
    folders, expected = others
    wrong, over = [], threading.Event()

    def ask():
        mine = triton.InferenceServerClient(client._parsed_url.netloc)
        while not over.is_set():
            try:
                made = image(mine)
            except Exception as error:
                wrong.append(error)
                return
            if not any((made == one).all() for one in expected):
                wrong.append(made)
        mine.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for folder in (folders[1], folders[0], folders[1]):
        before = server.fleet.engines
        refill(place, folder)
        hang_up(server, caplog)
        assert server.fleet.engines != before
    over.set()
    for thread in threads:
        thread.join(20)
    assert not [str(one) for one in wrong]
    np.testing.assert_array_equal(image(client), expected[1])
    wait_until(lambda: not server.fleet._leaving)


def test_a_broken_one_leaves_the_old(served, others, place, caplog):
    caplog.set_level(logging.INFO)
    server, client = served
    (place / "backbone.onnx").write_bytes(b"junk")
    hang_up(server, caplog)
    assert "SHA-256" in str(told(caplog, "cannot be loaded; what was there stays")[0].exc_info[1])
    with pytest.raises(InferenceServerException, match="cannot be loaded") as caught:
        client.load_model("tiny")
    assert str(place) not in caught.value.message()
    assert client.is_server_ready()
    np.testing.assert_array_equal(image(client), others[1][0])
    refill(place, others[0][1])
    client.load_model("tiny")
    np.testing.assert_array_equal(image(client), others[1][1])


def test_one_of_another_name_is_broken_too(served, place, tmp_path):
    build_tiny_engine(tmp_path / "renamed", name="other")
    refill(place, tmp_path / "renamed")
    with pytest.raises(InferenceServerException, match="cannot be loaded"):
        served[1].load_model("tiny")


def test_what_has_not_changed_stays(served, caplog):
    caplog.set_level(logging.INFO)
    server, _ = served
    before = server.fleet.engines
    hang_up(server, caplog)
    assert told(caplog, "unchanged")
    assert server.fleet.engines == before


def test_unloaded_and_loaded_again(served, others):
    _, client = served
    assert client.get_model_repository_index() == [
        {"name": "tiny", "version": "1", "state": "READY", "reason": ""}
    ]
    client.unload_model("tiny")
    (state,) = client.get_model_repository_index()
    assert (state["state"], state["reason"]) == ("UNAVAILABLE", "unloaded")
    assert client.is_server_ready()
    assert not client.is_model_ready("tiny")
    with pytest.raises(InferenceServerException, match="not loaded") as caught:
        image(client)
    assert caught.value.status() == "404"
    client.load_model("tiny")
    np.testing.assert_array_equal(image(client), others[1][0])


def test_what_clients_may_not_say(served):
    for ask in (served[1].load_model, served[1].unload_model):
        with pytest.raises(InferenceServerException, match="expected one of tiny"):
            ask("other")
    with pytest.raises(InferenceServerException, match="parameters"):
        served[1].load_model("tiny", config='{"path": "/etc"}')


def test_control_is_off_unless_the_command_says_so(service):
    for verb in ("load", "unload"):
        answer = service.ask("POST", f"/v2/repository/models/tiny/{verb}", {})
        assert answer.status == 403
        assert "--model-control" in answer.json()["error"]
    index = service.ask("POST", "/v2/repository/index", {"ready": True}).json()
    assert [one["state"] for one in index] == ["READY"]
