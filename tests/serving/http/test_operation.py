"""Statistics, configuration, traces and the log, with Triton's own client."""

import io
import json
import logging

import numpy as np
import pytest
from http_server import wait_until

pytest.importorskip("fastapi")
triton = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(service):
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    yield client
    client.close()


def generate(service, **fields):
    return service.ask("POST", "/v2/models/tiny/generate", {"label": 0, **fields})


def test_statistics_count_images_and_steps(client, service):
    def counts():
        (found,) = client.get_inference_statistics("tiny")["model_stats"]
        return found

    before = counts()
    assert generate(service, label=[0, 1], steps=5).status == 200
    assert generate(service, steps=5, timeout=1).status == 504
    after = counts()
    assert (after["name"], after["version"]) == ("tiny", "1")
    assert after["inference_count"] == before["inference_count"] + 2
    assert after["execution_count"] >= before["execution_count"] + 5
    assert after["last_inference"] > before["last_inference"]
    stats, first = after["inference_stats"], before["inference_stats"]
    for name, more in (("success", 2), ("fail", 1), ("compute_infer", 2)):
        assert stats[name]["count"] == first[name]["count"] + more
        assert stats[name]["ns"] > first[name]["ns"]
    assert stats["success"]["ns"] == pytest.approx(
        stats["queue"]["ns"] + stats["compute_infer"]["ns"], rel=0.01
    )
    steps = sum(batch["compute_infer"]["count"] for batch in after["batch_stats"])
    assert steps == after["execution_count"]
    assert {batch["batch_size"] for batch in after["batch_stats"]} <= set(range(1, 17))


def test_statistics_of_all_and_of_a_version(client, service):
    (one,) = client.get_inference_statistics()["model_stats"]
    assert client.get_inference_statistics("tiny", "1")["model_stats"] == [one]
    for name, number in (("tiny", "2"), ("other", "")):
        with pytest.raises(InferenceServerException) as caught:
            client.get_inference_statistics(name, number)
        assert caught.value.status() == "404"


def test_the_configuration_has_the_metadata_s_tensors(client):
    config = client.get_model_config("tiny", "1")
    assert config == client.get_model_config("tiny")
    metadata = client.get_model_metadata("tiny")
    for side in ("input", "output"):
        told = [(one["name"], one["dims"]) for one in config[side]]
        assert told == [(one["name"], one["shape"]) for one in metadata[f"{side}s"]]
    assert [one["data_type"] for one in config["input"]] == ["TYPE_INT64", "TYPE_INT64"]
    assert [one["optional"] for one in config["input"]] == [False, True]
    assert config["parameters"]["max_batch"] == {"string_value": "16"}
    with pytest.raises(InferenceServerException, match="version"):
        client.get_model_config("tiny", "2")


def test_trace_settings_are_told_and_not_changed(client):
    found = client.get_trace_settings()
    assert found == client.get_trace_settings("tiny")
    assert found["trace_mode"] == "opentelemetry"
    assert client.update_trace_settings(settings=found) == found
    assert client.update_trace_settings("tiny", {"trace_rate": None}) == found
    for settings in ({"trace_level": ["TENSORS"]}, {"trace_file": "/etc/passwd"}):
        with pytest.raises(InferenceServerException, match="OpenTelemetry") as caught:
            client.update_trace_settings(settings=settings)
        assert caught.value.status() == "400"
    with pytest.raises(InferenceServerException, match="expected one of tiny"):
        client.get_trace_settings("other")


@pytest.fixture
def log():
    """The server's log, as the command sets it up, and what is written to it."""
    from adagen_rt.serving.http.logs import JSONFormatter, Levels

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JSONFormatter())
    handler.addFilter(Levels())
    root, before = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(before)


def test_log_settings_are_set_where_clients_may(gated, log):
    service = gated(model_control=True)
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    assert client.get_log_settings()["log_info"] is True
    assert client.update_log_settings({"log_info": False})["log_info"] is False
    # Who reads the log sees why it ends.
    wait_until(lambda: any(line.get("log_info") is False for line in log()))
    assert generate(service).status == 200
    client.update_log_settings({"log_info": True})
    assert generate(service, steps=7).status == 200
    generated = "/v2/models/{name}/generate"
    wait_until(lambda: any(line.get("route") == generated for line in log()))
    assert [line.get("route") for line in log()].count(generated) == 1
    for settings in ({"log_file": "/tmp/x"}, {"log_verbose_level": 1}, {"log_format": "ISO8601"}):
        with pytest.raises(InferenceServerException, match="cannot be changed"):
            client.update_log_settings(settings)
    with pytest.raises(InferenceServerException, match="log_info"):
        client.update_log_settings({"log_info": "no"})
    client.close()


def test_log_settings_are_not_for_everybody(client, log):
    found = client.get_log_settings()
    assert client.update_log_settings({"log_error": True}) == found
    with pytest.raises(InferenceServerException, match="--model-control") as caught:
        client.update_log_settings({"log_error": False})
    assert caught.value.status() == "403"
    assert client.get_log_settings() == found


def test_the_log_of_another_program_is_not_ours(gated):
    client = triton.InferenceServerClient(f"127.0.0.1:{gated(model_control=True).port}")
    with pytest.raises(InferenceServerException, match="cannot be changed"):
        client.update_log_settings({"log_info": False})
    client.close()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_answers_are_compressed_for_whom_accepts_it(client, offline, algorithm):
    label = triton.InferInput("label", [64], "INT64")
    label.set_data_from_numpy(np.zeros(64, np.int64))
    seed = triton.InferInput("seed", [64], "INT64")
    seed.set_data_from_numpy(np.arange(64))
    result = client.infer("tiny", [label, seed], response_compression_algorithm=algorithm)
    np.testing.assert_array_equal(
        result.as_numpy("image"), offline([0] * 64, list(range(64))).images
    )


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("gzip, deflate", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0, deflate;q=0.1", "deflate"),
        ("*", "gzip"),
        ("br, identity", None),
        ("gzip;q=0", None),
        ("gzip;q=lots", None),
        ("", None),
    ],
)
def test_the_encoding_is_the_one_that_the_client_prefers(service, accepts, encoding):
    answer = service.ask("GET", "/openapi.json", headers={"Accept-Encoding": accepts})
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert int(answer.headers["content-length"]) == len(answer.body)
    small = service.ask("GET", "/v2", headers={"Accept-Encoding": accepts})
    assert "content-encoding" not in small.headers
