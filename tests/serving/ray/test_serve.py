"""Ray Serve on two simulated nodes: images are those of `generate`, whatever is killed."""

import inspect
import os
import queue
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from http_server import ask, wait_until
from ray_cluster import import_ray, ray_cluster
from triton_server import free_port

# Of Ray's own code.
pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]
WAIT = 120


def setup_module():
    import_ray()


@pytest.fixture(scope="module")
def cluster():
    with ray_cluster(2, 2) as made:
        yield made


@pytest.fixture(scope="module")
def ports(cluster, judged_engine):
    """Two replicas of one engine under two names, behind proxies; ports of HTTP and gRPC."""
    from ray import serve

    from adagen_rt.serving.ray import build

    found = free_port(), free_port()
    http = {"host": "127.0.0.1", "port": found[0], "request_timeout_s": 20}
    functions = ["adagen_rt.serving.ray:add_services"]
    grpc = {"port": found[1], "grpc_servicer_functions": functions, "request_timeout_s": 20}
    serve.start(proxy_location="EveryNode", http_options=http, grpc_options=grpc)
    serve.run(build(options(judged_engine)))
    yield found
    serve.shutdown()


@pytest.fixture
def port(ports):
    return ports[0]


@pytest.fixture
def triton(ports):
    """Triton's client."""
    module = pytest.importorskip("tritonclient.grpc")
    with module.InferenceServerClient(f"127.0.0.1:{ports[1]}") as made:
        yield made


def tensors(**given):
    """Inputs of one image."""
    from tritonclient.grpc import InferInput

    made = []
    for name, value in given.items():
        tensor = InferInput(name, [1], "INT64")
        tensor.set_data_from_numpy(np.array([value], np.int64))
        made.append(tensor)
    return made


def options(engine):
    from adagen_rt.serving.ray import Options

    return Options(
        engines={"one": str(engine), "two": str(engine)},
        min_replicas=2,
        max_replicas=2,
        health_check_period_s=1,
        health_check_timeout_s=3,
    )


def replicas():
    """Processes of the replicas that are alive, by the names that Ray gives them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if path.read_bytes().startswith(b"ray::ServeReplica:"):
                found.append(int(path.parent.name))
    return found


def check_all(one, offline, seeds):
    """Ask for images at once; each is that of its class and seed without a server."""
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(one, seeds))
    for seed, image in zip(seeds, images, strict=True):
        expected = offline([seed % 3], [seed], refine=1 + seed % 2).images[0]
        np.testing.assert_array_equal(image, expected)


def test_the_argument_of_a_config_is_checked_by_its_class():
    from adagen_rt.serving.ray import Options, build

    assert inspect.signature(build).parameters["options"].annotation is Options


def test_images_are_those_without_a_server(port, offline):
    from adagen_rt.serving.client import Client

    asks = Client(f"http://127.0.0.1:{port}")

    def one(seed):
        model = ("one", "two")[seed % 2]
        if seed % 4:
            return asks.generate(seed % 3, model=model, seed=seed, refine=1 + seed % 2)[0].pixels
        inputs = [
            {"name": "label", "shape": [1], "datatype": "BYTES", "data": [str(seed % 3)]},
            {"name": "seed", "shape": [1], "datatype": "INT64", "data": [seed]},
        ]
        body = {"inputs": inputs, "parameters": {"refine": 1 + seed % 2}}
        reply = ask(port, "POST", f"/v2/models/{model}/infer", body)
        assert reply.status == 200, reply.body
        answer = reply.json()
        image = next(one for one in answer["outputs"] if one["name"] == "image")
        return np.array(image["data"], np.uint8).reshape(image["shape"][1:])

    check_all(one, offline, range(60))


def test_a_refusal_names_the_field(port):
    answer = ask(port, "POST", "/v1/images/generations", {"prompt": 1, "model": "one", "n": 0})
    assert answer.status == 400
    assert "n: " in answer.json()["error"]["message"]
    assert ask(port, "GET", "/metrics").status == 404
    assert ask(port, "GET", "/v2/health/ready").json() == {"ready": True}


def test_images_over_grpc_are_those_without_a_server(triton, offline):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("two")
    assert not triton.is_model_ready("three")

    def one(seed):
        asked = tensors(label=seed % 3, seed=seed)
        answer = triton.infer(("one", "two")[seed % 2], asked, parameters={"refine": 1 + seed % 2})
        return answer.as_numpy("image")[0]

    check_all(one, offline, range(24))


def test_a_stream_has_previews_and_then_the_image(triton, offline):
    answers = queue.Queue()
    triton.start_stream(lambda result, error: answers.put((result, error)))
    for seed in (3, 4):
        options = {"preview_every": 1, "steps": 4}
        asked = tensors(label=1, seed=seed)
        triton.async_stream_infer("one", asked, request_id=str(seed), parameters=options)
    triton.async_stream_infer("one", tensors(label=99), request_id="5")
    last, failures, count = {}, [], 0
    while len(last) + len(failures) < 3:
        result, error = answers.get(timeout=WAIT)
        count += 1
        if error is not None:
            failures.append(str(error))
        elif result.get_response().parameters["triton_final_response"].bool_param:
            last[result.get_response().id] = result.as_numpy("image")[0]
    triton.stop_stream()
    assert "label" in failures[0]
    assert count > 3
    for seed in (3, 4):
        np.testing.assert_array_equal(last[str(seed)], offline([1], [seed], steps=4).images[0])


def test_a_refusal_over_grpc_names_the_field(ports, triton):
    import grpc

    with pytest.raises(Exception, match=r"INVALID_ARGUMENT.*label"):
        triton.infer("one", tensors(label=99))
    with pytest.raises(Exception, match=r"NOT_FOUND.*three"):
        triton.infer("three", tensors(label=1))
    with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for data in (b"\xff" * 9, bytes(2 << 20)):
            with pytest.raises(grpc.RpcError) as caught:
                call(data, timeout=WAIT)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "message: " in caught.value.details()


def test_ray_has_the_metrics(port):
    import ray

    def counted():
        found = ""
        for node in ray.nodes():
            url = f"http://127.0.0.1:{node['MetricsExportPort']}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                found += answer.read().decode()
        return all(f"ray_adagen_{name}" in found for name in ("images", "slots", "step_seconds"))

    ask(port, "POST", "/v1/images/generations", {"prompt": 1, "model": "one"})
    wait_until(counted, WAIT)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_whatever_befalls_a_replica_the_client_has_its_images(port, offline, number):
    from adagen_rt.serving.client import Client

    asks = Client(f"http://127.0.0.1:{port}", timeout=30, tries=50)
    victim = replicas()[0]
    with ThreadPoolExecutor(4) as pool:
        under_way = [
            pool.submit(asks.generate, 2, model="one", seed=seed, refine=4) for seed in range(40)
        ]
        os.kill(victim, number)
        images = [future.result(WAIT)[0].pixels for future in under_way]
    expected = offline([2] * 40, list(range(40)), refine=4).images
    np.testing.assert_array_equal(images, expected)
    wait_until(lambda: len(set(replicas()) - {victim}) == 2, WAIT)


def test_actors_make_the_shards_of_a_job(cluster, judged_engine, tmp_path):
    from bulk_job import digest
    from click.testing import CliRunner

    from adagen_rt.cli import main

    for launcher in ("ray", "processes"):
        job = ["bulk", str(judged_engine), "--count", "22", "--shard-size", "3", "--threads", "1"]
        out = ["--out", str(tmp_path / launcher), "--launcher", launcher]
        workers = ["--workers", "2"] if launcher == "ray" else []
        done = CliRunner().invoke(main, [*job, *out, *workers])
        assert done.exit_code == 0, done.output
    assert digest(tmp_path / "ray") == digest(tmp_path / "processes")


def test_a_node_that_goes_takes_no_image_with_it(cluster, port, offline):
    from adagen_rt.serving.client import Client

    asks = Client(f"http://127.0.0.1:{port}", timeout=30, tries=50)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    images = [asks.generate(1, model="two", seed=seed)[0].pixels for seed in range(8)]
    np.testing.assert_array_equal(images, offline([1] * 8, list(range(8))).images)
