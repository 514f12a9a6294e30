"""Models in a real Triton, over HTTP and gRPC, against images made in this process."""

import json
import queue
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

from adagen_rt import load

pytestmark = pytest.mark.triton
NAME = "fashion-maskgit"


@pytest.fixture(scope="module")
def offline():
    """The images that all answers have to be."""
    return load(NAME, threads=1)


@pytest.fixture(scope="module")
def server(run, tmp_path_factory):
    """Ports of HTTP and gRPC of a server with two engines."""
    pytest.importorskip("pytriton")
    pytest.importorskip("tritonclient.grpc")
    from triton_server import triton_server

    folder = tmp_path_factory.mktemp("triton")
    engines = NAME, "fashion-dit"
    done = run("triton-repository", *engines, "--out", folder / "models", "--threads", 1)
    assert done.exit_code == 0, done.output
    with triton_server(folder / "models", folder) as started:
        yield started.http, started.grpc


@pytest.fixture(params=["http", "grpc"])
def client(request, server):
    """A client of either protocol, and its module."""
    module = pytest.importorskip(f"tritonclient.{request.param}")
    port = server[request.param == "grpc"]
    with module.InferenceServerClient(f"127.0.0.1:{port}") as made:
        yield made, module


def inputs(module, labels, seeds=None, **options):
    """Inputs of a request; of the batch model where labels are a column."""
    given = {"label": np.array(labels, np.object_)}
    if seeds is not None:
        given["seed"] = np.array(seeds, np.int64)
    kinds = {"INT64": np.int64, "FP32": np.float32, "BYTES": np.object_}
    for name, (kind, value) in options.items():
        given[name] = np.full(np.shape(labels), value, kinds[kind])
    made = []
    for name, values in given.items():
        kind = {"O": "BYTES", "i": "INT64", "f": "FP32"}[values.dtype.kind]
        tensor = module.InferInput(name, values.shape, kind)
        tensor.set_data_from_numpy(values)
        made.append(tensor)
    return made


def same(image, expected):
    assert image.dtype == np.uint8
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_batch_model_makes_the_images_of_generate(client, offline):
    made, module = client
    asked = inputs(module, [["3"], ["Sneaker"]], [[5], [6]], steps=("INT64", 4))
    answer = made.infer(f"{NAME}-batch", asked)
    expected = offline.generate([3, "Sneaker"], [5, 6], steps=4)
    same(answer.as_numpy("image"), expected.images)
    assert answer.as_numpy("seed").tolist() == [[5], [6]]
    chosen = np.stack([values.T for values in expected.schedule.values()], -1)
    np.testing.assert_allclose(answer.as_numpy("schedule"), chosen, rtol=1e-3, atol=1e-5)


def test_requests_that_the_server_joins_are_answered_each(server, offline):
    grpc = pytest.importorskip("tritonclient.grpc")
    answers = queue.Queue()
    with grpc.InferenceServerClient(f"127.0.0.1:{server[1]}") as client:
        for seed in range(8):
            asked = inputs(grpc, [[str(seed)]], [[seed]], steps=("INT64", 2 + seed % 2))
            client.async_infer(
                f"{NAME}-batch", asked, lambda result, error: answers.put((result, error))
            )
        for _ in range(8):
            result, error = answers.get(timeout=60)
            assert error is None
            seed = int(result.as_numpy("seed")[0, 0])
            expected = offline.generate([seed], [seed], steps=2 + seed % 2)
            same(result.as_numpy("image"), expected.images)


def test_every_image_of_another_engine_too(client):
    made, module = client
    answer = made.infer("fashion-dit-batch", inputs(module, [["1"]], [[2]]))
    same(answer.as_numpy("image"), load("fashion-dit", threads=1).generate([1], [2]).images)


def test_refusals_name_the_field(client):
    made, module = client
    for labels, options, field in (
        ([["77"]], {}, "label: got 77"),
        ([["1"]], {"steps": ("INT64", 0)}, "steps: got 0"),
        ([["1"]], {"schedule": ("BYTES", "none")}, "schedule: got 'none'"),
    ):
        with pytest.raises(Exception, match=field):
            made.infer(f"{NAME}-batch", inputs(module, labels, **options))


def test_stream_sends_previews_and_then_the_image(server, offline):
    grpc = pytest.importorskip("tritonclient.grpc")
    with stream(grpc, server) as (client, answers):
        client.async_stream_infer(NAME, inputs(grpc, ["3"], [5], preview_every=("INT64", 3)))
        seen = []
        while not seen or seen[-1].as_numpy("seed") is None:
            result, error = answers.get(timeout=60)
            assert error is None
            seen.append(result)
    steps = [int(one.as_numpy("step")[0]) for one in seen]
    assert steps == [3, 6, 8]
    expected = offline.generate([3], [5])
    same(seen[-1].as_numpy("image"), expected.images[0])
    assert all(one.as_numpy("image").shape == expected.images[0].shape for one in seen)


def test_cancelled_stream_leaves_the_server_to_others(server, offline):
    grpc = pytest.importorskip("tritonclient.grpc")
    with stream(grpc, server) as (client, answers):
        asked = inputs(grpc, ["3"], [5], steps=("INT64", 1000), preview_every=("INT64", 1))
        client.async_stream_infer(NAME, asked)
        assert answers.get(timeout=60)[1] is None
        client.stop_stream(cancel_requests=True)
    with stream(grpc, server) as (client, answers):
        client.async_stream_infer(NAME, inputs(grpc, ["1"], [2]))
        result, error = answers.get(timeout=60)
        assert error is None
        same(result.as_numpy("image"), offline.generate([1], [2]).images[0])


@contextmanager
def stream(grpc, server):
    """Open a stream; gives the client and its queue of answers and errors."""
    answers = queue.Queue()
    with grpc.InferenceServerClient(f"127.0.0.1:{server[1]}") as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        yield client, answers


@pytest.mark.parametrize(("path", "mark"), [("generate", b""), ("generate_stream", b"data: ")])
def test_generate_extension_takes_plain_json(server, offline, path, mark):
    url = f"http://127.0.0.1:{server[0]}/v2/models/{NAME}/{path}"
    body = json.dumps({"label": "3", "seed": 5}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as done:
        text = done.read().strip()
    assert text.startswith(mark)
    answer = json.loads(text[len(mark) :])
    expected = offline.generate([3], [5]).images[0]
    same(np.array(answer["image"], np.uint8).reshape(expected.shape), expected)
