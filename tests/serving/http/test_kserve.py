"""KServe v2, with Triton's own client and by hand."""

import gzip
import json

import numpy as np
import pytest

pytest.importorskip("fastapi")
triton = pytest.importorskip("tritonclient.http")
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(service):
    client = triton.InferenceServerClient(f"127.0.0.1:{service.port}")
    yield client
    client.close()


def tensor(name, values, datatype, binary=True):
    integers = datatype.lower() if "INT" in datatype else None
    array = np.asarray(values, integers)
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


@pytest.mark.parametrize("binary", [True, False])
def test_images_equal_the_offline_ones(client, offline, binary):
    labels, seeds = np.array([0, 1, 2, 1]), np.array([5, 6, 7, 1 << 62])
    names = ("image", "label", "seed", "steps", "schedule")
    result = client.infer(
        "tiny",
        [tensor("label", labels, "INT64", binary), tensor("seed", seeds, "INT64", binary)],
        outputs=[triton.InferRequestedOutput(name, binary_data=binary) for name in names],
        request_id="mine",
    )
    expected = offline(labels.tolist(), seeds.tolist())
    assert result.get_response()["id"] == "mine"
    np.testing.assert_array_equal(result.as_numpy("image"), expected.images)
    np.testing.assert_array_equal(result.as_numpy("label"), labels)
    np.testing.assert_array_equal(result.as_numpy("seed"), seeds)
    np.testing.assert_array_equal(result.as_numpy("steps"), [4] * 4)
    chosen = np.stack(list(expected.schedule.values()), axis=-1).swapaxes(0, 1)
    np.testing.assert_allclose(result.as_numpy("schedule"), chosen, rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_labels_by_name_and_the_usual_outputs(client, offline, binary):
    names = np.array([["circle"], ["1"], ["t-bar"]], object)
    result = client.infer("tiny", [tensor("label", names, "BYTES", binary)])
    seeds = result.as_numpy("seed").tolist()
    assert len(set(seeds)) == 3
    np.testing.assert_array_equal(result.as_numpy("image"), offline([0, 1, 2], seeds).images)
    assert result.as_numpy("schedule") is None


def test_parameters(client, offline):
    options = {"steps": 6, "fidelity": 0.5, "refine": 3, "best_of": 2}
    inputs = [tensor("label", [2], "INT32"), tensor("seed", [9], "UINT64")]
    result = client.infer("tiny", inputs, parameters=options, timeout=20_000_000)
    expected = offline([2], [9], **options)
    np.testing.assert_array_equal(result.as_numpy("image"), expected.images)
    np.testing.assert_array_equal(result.as_numpy("seed"), expected.seeds)


@pytest.mark.parametrize("options", [{"schedule": "static"}, {"static": True}])
def test_a_schedule_by_its_name_and_by_the_older_flag(client, offline, options):
    inputs = [tensor("label", [2], "INT64"), tensor("seed", [9], "INT64")]
    result = client.infer("tiny", inputs, parameters=options)
    expected = offline([2], [9], schedule="static")
    np.testing.assert_array_equal(result.as_numpy("image"), expected.images)
    assert (expected.images != offline([2], [9]).images).any()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_bodies(client, offline, algorithm):
    inputs = [tensor("label", [1], "INT64"), tensor("seed", [4], "INT64")]
    result = client.infer("tiny", inputs, request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("image"), offline([1], [4]).images)


def test_health_and_metadata(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1")
    assert not client.is_model_ready("tiny", "2")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tiny")
    assert metadata["outputs"][0] == {
        "name": "image",
        "datatype": "UINT8",
        "shape": [-1, 4, 4, 1],
    }


@pytest.mark.parametrize(
    ("inputs", "options", "told"),
    [
        ([("label", [7], "INT64")], {}, "inputs.label: got 7, expected an integer from 0 to 2"),
        ([("label", ["x"], "BYTES")], {}, "inputs.label: got 'x'"),
        ([("label", [0] * 65, "INT64")], {}, "inputs.label: got '65 images'"),
        ([("seed", [0], "INT64")], {}, "inputs: got 'seed', expected label"),
        ([("label", [0], "INT64"), ("seed", [-1], "INT64")], {}, "inputs.seed: got -1"),
        ([("label", [0], "INT64"), ("seed", [1, 2], "INT64")], {}, "inputs.seed: got '2 values'"),
        ([("label", [[0, 1]], "INT64")], {}, "inputs.label: got 'shape [1, 2]'"),
        (
            [("label", [0], "INT64"), ("seed", ["5"], "BYTES")],
            {},
            "inputs.seed: got '5'",
        ),
        ([("label", [0], "INT64")], {"preview_every": 2}, "preview_every: got 2, expected 0"),
        ([("label", [0], "INT64")], {"refine": 65}, "refine"),
        ([("label", [0], "INT64")], {"colour": "red"}, "colour"),
        ([("label", [0], "INT64")], {"static": True, "refine": 2}, "refine: got 2"),
        ([("label", [0], "INT64")], {"schedule": "static", "refine": 2}, "refine: got 2"),
        ([("label", [0], "INT64")], {"schedule": "best"}, "schedule"),
        ([("label", [0], "INT64")], {"schedule": "tuned"}, "schedule: got 'tuned', expected an"),
    ],
)
def test_refusals_name_the_field(client, inputs, options, told):
    values = [
        tensor(name, np.array(values, object) if kind == "BYTES" else values, kind)
        for name, values, kind in inputs
    ]
    with pytest.raises(InferenceServerException) as caught:
        client.infer("tiny", values, parameters=options)
    assert caught.value.status() == "400"
    assert told in caught.value.message()


def test_float_labels_are_refused(client):
    with pytest.raises(InferenceServerException, match="integer type"):
        client.infer("tiny", [tensor("label", np.zeros(1, np.float32), "FP32")])


def test_unknown_models_versions_and_outputs(client):
    label = [tensor("label", [0], "INT64")]
    with pytest.raises(InferenceServerException, match="expected one of tiny") as caught:
        client.infer("other", label)
    assert caught.value.status() == "404"
    with pytest.raises(InferenceServerException, match="version"):
        client.infer("tiny", label, model_version="3")
    with pytest.raises(InferenceServerException, match="outputs: got 'logits'"):
        client.infer("tiny", label, outputs=[triton.InferRequestedOutput("logits")])
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("tiny", label, outputs=[triton.InferRequestedOutput("image", class_count=3)])


HEAD = {"name": "label", "shape": [1], "datatype": "INT64"}


@pytest.mark.parametrize(
    ("head", "data", "length"),
    [
        ({**HEAD, "parameters": {"binary_data_size": 8}}, b"\0" * 7, None),
        ({**HEAD, "parameters": {"binary_data_size": 8}}, b"\0" * 9, None),
        ({**HEAD, "parameters": {"binary_data_size": 7}}, b"\0" * 7, None),
        ({**HEAD, "parameters": {"binary_data_size": 16}}, b"\0" * 16, None),
        ({**HEAD, "parameters": {"binary_data_size": -8}}, b"", None),
        ({**HEAD, "parameters": {"binary_data_size": 8}, "data": [0]}, b"\0" * 8, None),
        ({**HEAD, "parameters": {"shared_memory_region": "x"}}, b"", None),
        ({**HEAD, "data": [True]}, b"", None),
        ({**HEAD, "data": [0.5]}, b"", None),
        ({**HEAD, "datatype": "INT8", "data": [256]}, b"", None),
        ({**HEAD, "datatype": "UINT64", "data": [-1]}, b"", None),
        ({**HEAD, "datatype": "INT64", "data": [1 << 63]}, b"", None),
        ({**HEAD, "datatype": "BOOL", "data": [True]}, b"", None),
        ({**HEAD, "datatype": "INT63", "data": [0]}, b"", None),
        ({**HEAD, "data": []}, b"", None),
        ({**HEAD, "shape": [1 << 40], "data": [0]}, b"", None),
        ({**HEAD, "shape": [0], "data": []}, b"", None),
        ({**HEAD, "datatype": "BYTES", "parameters": {"binary_data_size": 3}}, b"abc", None),
        ({**HEAD, "datatype": "BYTES", "parameters": {"binary_data_size": 8}}, b"\xff" * 8, None),
        (
            {**HEAD, "datatype": "BYTES", "parameters": {"binary_data_size": 5}},
            b"\1\0\0\0\xff",
            None,
        ),
        ({**HEAD, "data": [0]}, b"", "9" * 20),
        ({**HEAD, "data": [0]}, b"", "-1"),
        ({**HEAD, "data": [0]}, b"", "5"),
    ],
)
def test_damaged_bodies_are_refused(service, head, data, length):
    text = json.dumps({"inputs": [head]}).encode()
    headers = {"Inference-Header-Content-Length": length or str(len(text))}
    answer = service.ask("POST", "/v2/models/tiny/infer", text + data, headers)
    assert answer.status == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"inputs": []}', b"\xff"])
def test_what_is_no_request_is_refused(service, body):
    answer = service.ask("POST", "/v2/models/tiny/infer", gzip.compress(body), GZIP)
    assert answer.status == 400
    assert answer.json()["error"].startswith("body: got")


GZIP = {"Content-Encoding": "gzip"}
