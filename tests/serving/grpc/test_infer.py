"""Inference over gRPC, with Triton's own client and with plain messages."""

import numpy as np
import pytest
from http_server import wait_until

pytest.importorskip("fastapi")
grpc = pytest.importorskip("grpc")
triton = pytest.importorskip("tritonclient.grpc")
from tritonclient.utils import InferenceServerException

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def client(service):
    with triton.InferenceServerClient(service.address) as client:
        yield client


def tensor(name, values, datatype="INT64"):
    array = np.asarray(values, object if datatype == "BYTES" else datatype.lower())
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array)
    return made


def test_images_equal_the_offline_ones(client, offline):
    labels, seeds = [0, 1, 2, 1], [5, 6, 7, 1 << 62]
    names = ("image", "label", "seed", "step", "steps", "schedule")
    result = client.infer(
        "tiny",
        [tensor("label", labels), tensor("seed", seeds)],
        outputs=[triton.InferRequestedOutput(name) for name in names],
        request_id="mine",
    )
    expected = offline(labels, seeds)
    assert result.get_response().id == "mine"
    np.testing.assert_array_equal(result.as_numpy("image"), expected.images)
    np.testing.assert_array_equal(result.as_numpy("label"), labels)
    np.testing.assert_array_equal(result.as_numpy("seed"), seeds)
    np.testing.assert_array_equal(result.as_numpy("steps"), [4] * 4)
    chosen = np.stack(list(expected.schedule.values()), axis=-1).swapaxes(0, 1)
    np.testing.assert_allclose(result.as_numpy("schedule"), chosen, rtol=1e-5)


def test_labels_by_name_the_usual_outputs_and_parameters(client, offline):
    options = {"steps": 6, "fidelity": 0.5, "refine": 3, "best_of": 2, "schedule": "policy"}
    result = client.infer(
        "tiny", [tensor("label", [["circle"], ["2"]], "BYTES")], parameters=options, priority=1
    )
    seeds = result.as_numpy("seed").tolist()
    assert result.as_numpy("schedule") is None
    # The seeds are those of the kept candidates.
    del options["best_of"]
    np.testing.assert_array_equal(
        result.as_numpy("image"), offline([0, 2], seeds, **options).images
    )


class Plain:
    """Calls with messages of our own, without Triton's client."""

    def __init__(self, address):
        from adagen_rt.serving.grpc.messages import MESSAGES

        self.messages = MESSAGES
        self.channel = grpc.insecure_channel(address)

    def send(self, data, path=INFER, metadata=(), timeout=30):
        call = self.channel.unary_unary(path)
        return call(data, metadata=metadata, timeout=timeout)

    def request(self, *inputs, **fields):
        request = self.messages["ModelInferRequest"](model_name="tiny", **fields)
        for one in inputs:
            request.inputs.add(**{"name": "label", "datatype": "INT64", "shape": [1], **one})
        return request

    def infer(self, request, **options):
        data = self.send(request.SerializeToString(), **options)
        return self.messages["ModelInferResponse"].FromString(data)

    def refused(self, request, **options):
        data = request if isinstance(request, bytes) else request.SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            self.send(data, **options)
        return caught.value


@pytest.fixture
def plain(service):
    made = Plain(service.address)
    yield made
    made.channel.close()


@pytest.mark.parametrize(
    ("datatype", "contents", "label"),
    [
        ("INT64", {"int64_contents": [2]}, 2),
        ("UINT64", {"uint64_contents": [2]}, 2),
        ("INT8", {"int_contents": [2]}, 2),
        ("UINT16", {"uint_contents": [2]}, 2),
        ("BYTES", {"bytes_contents": [b"t-bar"]}, 2),
    ],
)
def test_typed_contents(plain, offline, datatype, contents, label):
    request = plain.request(
        {"datatype": datatype, "contents": contents},
        {"name": "seed", "contents": {"int64_contents": [9]}},
    )
    answer = plain.infer(request)
    assert [one.name for one in answer.outputs] == ["image", "label", "seed"]
    assert list(answer.outputs[0].shape) == [1, 4, 4, 1]
    assert answer.raw_output_contents[0] == offline([label], [9]).images.tobytes()
    assert answer.raw_output_contents[1] == np.int64(label).tobytes()


ZERO = {"contents": {"int64_contents": [0]}}


@pytest.mark.parametrize(
    ("told", "inputs", "fields"),
    [
        ("inputs: ", [], {}),
        ("inputs.label: got 7", [{"contents": {"int64_contents": [7]}}], {}),
        ("datatype", [{"datatype": "", "contents": {}}], {}),
        ("datatype", [{"datatype": "INT65", "contents": {}}], {}),
        ("datatype", [{"datatype": "FP32", "contents": {"fp32_contents": [0]}}], {}),
        ("int_contents", [{"datatype": "INT32", "contents": {"int64_contents": [0]}}], {}),
        ("got 300", [{"datatype": "INT8", "contents": {"int_contents": [300]}}], {}),
        ("shape [-1]", [{"shape": [-1], **ZERO}], {}),
        ("shape", [{"shape": [], **ZERO}], {}),
        ("shape", [{"shape": [1] * 9, **ZERO}], {}),
        ("inputs.label", [{"shape": [1 << 62], **ZERO}], {}),
        ("shape", [{"shape": [(1 << 63) - 1], **ZERO}], {}),
        ("2 values", [{"contents": {"int64_contents": [0, 0]}}], {}),
        ("9999 values", [{"contents": {"int64_contents": [0] * 9999}}], {}),
        ("contents and raw_input_contents", [ZERO], {"raw_input_contents": [b"\0" * 8]}),
        ("raw_input_contents: got '2 of", [{}], {"raw_input_contents": [b"\0" * 8] * 2}),
        ("7 bytes", [{}], {"raw_input_contents": [b"\0" * 7]}),
        ("inputs.label: got '0 values", [{}], {}),
        ("UTF-8", [{"datatype": "BYTES", "contents": {"bytes_contents": [b"\xff"]}}], {}),
        ("inputs: got '17 of", [{}] * 17, {}),
        ("each input once", [ZERO, ZERO], {}),
        ("shared_memory_region", [{**ZERO, "parameters": {"shared_memory_region": {}}}], {}),
        ("colour", [ZERO], {"parameters": {"colour": {"string_param": "red"}}}),
        ("fidelity", [ZERO], {"parameters": {"fidelity": {"double_param": float("nan")}}}),
        ("steps", [ZERO], {"parameters": {"steps": {"uint64_param": (1 << 64) - 1}}}),
        ("65 of them", [ZERO], {"parameters": {str(i): {} for i in range(65)}}),
        ("preview_every", [ZERO], {"parameters": {"preview_every": {"int64_param": 1}}}),
        ("outputs: got 'logits'", [ZERO], {"outputs": [{"name": "logits"}]}),
        ("class", [ZERO], {"outputs": [{"name": "image", "parameters": {"classification": {}}}]}),
        ("id", [ZERO], {"id": "x" * 201}),
    ],
)
def test_refusals_name_the_field(plain, told, inputs, fields):
    error = plain.refused(plain.request(*inputs, **fields))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT, error.details()
    assert told in error.details()


@pytest.mark.parametrize("name", ["other", "", "../tiny", "tiny/versions/1", "stats", "é" * 99])
def test_unknown_models(plain, name):
    request = plain.request(ZERO)
    request.model_name = name
    assert plain.refused(request).code() is grpc.StatusCode.NOT_FOUND
    request = plain.request(ZERO, model_version="2")
    assert plain.refused(request).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 50,
        b"\x2a",
        b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x2a\x7fshort",
        b"\x0b" * 9,
        b"\x2a\x00" * 300_000,
        b"\x22\x00" * 300_000,
        b"\x3a\x00" * 300_000,
        b"\x2a\xfe\xff\x7f" + b"\x22\x00" * 0xFFFFF,
    ],
)
def test_what_is_no_request_is_refused(plain, service, data):
    error = plain.refused(data)
    expected = grpc.StatusCode.NOT_FOUND if not data else grpc.StatusCode.INVALID_ARGUMENT
    if len(data) > 1 << 20:
        expected = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.code() is expected, error.details()


def test_a_huge_message_is_not_read(client, plain):
    request = plain.request({"datatype": "BYTES"}, raw_input_contents=[b"\0" * (1 << 20)])
    assert plain.refused(request).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_small_message_that_gets_huge_is_not_decompressed(plain):
    request = plain.request({"datatype": "BYTES"}, raw_input_contents=[b"\0" * (1 << 24)])
    call = plain.channel.unary_unary(INFER)
    with pytest.raises(grpc.RpcError) as caught:
        call(request.SerializeToString(), compression=grpc.Compression.Gzip, timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_deadline_of_a_call_ends_its_work(start):
    service = start(sizes={"max_batch": 1})
    service.gate.shut()
    with triton.InferenceServerClient(service.address) as client:
        with pytest.raises(InferenceServerException, match=r"(?i)deadline"):
            client.infer("tiny", [tensor("label", [0])], client_timeout=0.5)
        service.gate.open()
        wait_until(lambda: sum(service.engine.stats().finished.values()) == 1)
        assert "ok" not in service.engine.stats().finished
        with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
            client.infer("tiny", [tensor("label", [0])], timeout=1)


def test_a_call_that_is_cancelled_frees_its_slot(start):
    service = start(sizes={"max_batch": 1})
    service.gate.shut()
    with triton.InferenceServerClient(service.address) as client:
        call = client.async_infer("tiny", [tensor("label", [0])], lambda result, error: None)
        wait_until(lambda: service.engine.stats().running == 1)
        call.cancel()
        wait_until(lambda: service.engine.stats().finished.get("cancelled") == 1)
        service.gate.open()
        assert client.infer("tiny", [tensor("label", [0])]).as_numpy("image") is not None


def test_a_full_queue_is_unavailable(start):
    service = start(sizes={"max_batch": 1, "max_queue": 1})
    service.gate.shut()
    plain = Plain(service.address)
    with triton.InferenceServerClient(service.address) as client:
        for _ in range(2):
            client.async_infer("tiny", [tensor("label", [0])], lambda result, error: None)
        wait_until(lambda: (lambda s: s.running + s.queued)(service.engine.stats()) == 2)
        error = plain.refused(plain.request(ZERO))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        told = dict(error.trailing_metadata())
        assert float(told["retry-after"]) > 0
        assert told["x-request-id"]
        service.gate.open()
    plain.channel.close()


def test_texts_of_the_http_side_are_parameters():
    from adagen_rt.serving.grpc.tensors import read_answer

    head = {"model_name": "a", "model_version": "1", "outputs": []}
    made = read_answer({**head, "parameters": {"cut": "the end", "last": True}}, memoryview(b""))
    assert made.parameters["cut"].string_param == "the end"
    assert made.parameters["last"].bool_param
