"""The documentation's table of calls, row by row against a server."""

import contextlib
import re
from pathlib import Path

import pytest
from grpc_server import started

pytest.importorskip("fastapi")
grpc = pytest.importorskip("grpc")
pytest.importorskip("google.protobuf")

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
SERVICE = "/inference.GRPCInferenceService/"
#: Bodies of HTTP's calls by the last part of their path, and fields of gRPC's messages.
LABEL = {"name": "label", "shape": [1], "datatype": "INT64"}
BODIES = {
    "infer": {"inputs": [{**LABEL, "data": [0]}]},
    "generate": {"label": 0},
    "generate_stream": {"label": 0},
}
INFERENCE = {
    "model_name": "tiny",
    "inputs": [{**LABEL, "contents": {"int64_contents": [0]}}],
}
FIELDS = {
    "ModelReady": {"name": "tiny"},
    "ModelMetadata": {"name": "tiny"},
    "ModelConfig": {"name": "tiny"},
    "ModelStatistics": {"name": "tiny"},
    "ModelInfer": INFERENCE,
    "ModelStreamInfer": INFERENCE,
    "RepositoryModelLoad": {"model_name": "tiny"},
    "RepositoryModelUnload": {"model_name": "tiny"},
}


def rows():
    text = PAGE.read_text("utf-8").partition("### Calls of the protocol")[2].partition("\n## ")[0]
    found = re.findall(r"^\| ([^|]+) \| (?:`([^`]*)`)? ?\| (?:`(\w+)`)? ?\| (yes|no)", text, re.M)
    assert len(found) == text.count("\n| ") - 2
    return found


@pytest.fixture(scope="module")
def controlled(judged_engine):
    with contextlib.ExitStack() as stack:
        yield started(stack, judged_engine, model_control=True)


@pytest.fixture
def service(controlled):
    yield controlled
    assert controlled.ask("POST", "/v2/repository/models/tiny/load").status == 200


@pytest.mark.parametrize(("call", "path", "method", "here"), rows())
def test_a_row_says_what_is_so(service, call, path, method, here):
    if path:
        verb, place = path.replace("NAME", "tiny").split()
        for one in {re.sub(r"\[.*\]", "", place), place.replace("[", "").replace("]", "")}:
            status = service.ask(verb, one, BODIES.get(one.rpartition("/")[2])).status
            assert status == (200 if here == "yes" else 404), one
    if method:
        assert code(service, method) is (
            grpc.StatusCode.OK if here == "yes" else grpc.StatusCode.UNIMPLEMENTED
        )


def code(service, method):
    from adagen_rt.serving.grpc.messages import MESSAGES

    data = b""
    if method in FIELDS:
        name = method.replace("Stream", "")
        data = MESSAGES[f"{name}Request"](**FIELDS[method]).SerializeToString()
    with grpc.insecure_channel(service.address) as channel:
        call = channel.stream_stream(SERVICE + method)(iter([data]), timeout=60)
        with contextlib.suppress(grpc.RpcError):
            assert len(list(call)) == 1
        return call.code()


def test_the_table_has_every_call(controlled):
    found = {method for _, _, method, _ in rows() if method}
    own = controlled.server.config.app
    paths = {path.replace("NAME", "{name}") for _, path, _, _ in rows() if path}
    paths = {path.replace("[/versions/1]", "") for path in paths}
    routes = {
        f"{verb.upper()} {path}"
        for path, item in own.openapi()["paths"].items()
        for verb in item
        if path.startswith("/v2") and "/versions/" not in path
    }
    assert routes <= paths
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
    service = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert found == {method.name for method in service.methods}


def test_messages_are_those_of_triton_s_client():
    from adagen_rt.serving.grpc import protocol
    from adagen_rt.serving.grpc.messages import MESSAGES

    pytest.importorskip("tritonclient.grpc.service_pb2")
    from google.protobuf import descriptor_pool

    def facts(descriptor):
        return {
            (one.number, one.name, one.type, one.is_repeated,
             (one.message_type or one.enum_type or one).full_name,
             one.containing_oneof and one.containing_oneof.name)
            for one in descriptor.fields
        }  # fmt: skip

    for name in protocol.MESSAGES:
        theirs = descriptor_pool.Default().FindMessageTypeByName(f"inference.{name}")
        ours = MESSAGES[name].DESCRIPTOR
        assert ours is not theirs
        # Choices among some of the fields are no matter of the wire.
        if name == "ModelVersionPolicy":
            continue
        assert facts(ours) <= facts(theirs), name
