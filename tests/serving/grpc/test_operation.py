"""gRPC's other calls, tokens, TLS, and the command."""

import signal

import numpy as np
import pytest
from http_server import wait_until
from server_process import COMMAND, Process

pytest.importorskip("fastapi")
grpc = pytest.importorskip("grpc")
triton = pytest.importorskip("tritonclient.grpc")
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(service):
    with triton.InferenceServerClient(service.address) as client:
        yield client


def label(value=0):
    made = triton.InferInput("label", [1], "INT64")
    made.set_data_from_numpy(np.array([value]))
    return [made]


def test_what_is_told_equals_what_http_tells(client, service):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert not client.is_model_ready("other")
    assert not client.is_model_ready("tiny", "2")

    def told(path):
        return service.ask("GET", path).json()

    assert client.get_server_metadata(as_json=True) == told("/v2")
    metadata = client.get_model_metadata("tiny")
    expected = told("/v2/models/tiny")
    assert [one.name for one in metadata.outputs] == [one["name"] for one in expected["outputs"]]
    assert list(metadata.outputs[0].shape) == [-1, 4, 4, 1]
    config, expected = client.get_model_config("tiny").config, told("/v2/models/tiny/config")
    assert [one.optional for one in config.input] == [one["optional"] for one in expected["input"]]
    assert config.parameters["max_batch"].string_value == "16"
    assert config.version_policy.latest.num_versions == 1
    client.infer("tiny", label())

    def executed():
        return told("/v2/models/tiny/stats")["model_stats"][0]["execution_count"]

    wait_until(lambda: executed() and executed() % 4 == 0)  # the last step is counted after its end
    found = client.get_inference_statistics("tiny", as_json=True)["model_stats"]
    (expected,) = told("/v2/models/tiny/stats")["model_stats"]
    assert found[0]["inference_count"] == str(expected["inference_count"])
    assert int(found[0]["inference_stats"]["success"]["ns"]) > 0
    assert client.get_inference_statistics(as_json=True)["model_stats"] == found
    (row,) = client.get_model_repository_index().models
    assert (row.name, row.version, row.state) == ("tiny", "1", "READY")
    traced = client.get_trace_settings("tiny").settings
    assert list(traced["trace_mode"].value) == ["opentelemetry"]
    assert client.update_trace_settings(settings={"trace_rate": "1"}).settings
    assert client.get_log_settings().settings["log_info"].bool_param


def test_refusals_have_gRPC_s_codes(client):  # noqa: N802
    for call, code in (
        (lambda: client.load_model("tiny"), "PERMISSION_DENIED"),
        (lambda: client.unload_model("other"), "PERMISSION_DENIED"),
        (lambda: client.get_model_config("other"), "NOT_FOUND"),
        (lambda: client.get_model_metadata("tiny", "2"), "NOT_FOUND"),
        (lambda: client.get_model_metadata("tiny/stats"), "NOT_FOUND"),
        (lambda: client.get_inference_statistics("", "1"), "NOT_FOUND"),
        (lambda: client.update_trace_settings(settings={"trace_rate": "7"}), "INVALID_ARGUMENT"),
        (lambda: client.update_trace_settings("other", {}), "NOT_FOUND"),
        (lambda: client.update_log_settings({"log_file": "/tmp/x"}), "INVALID_ARGUMENT"),
        (lambda: client.get_system_shared_memory_status(), "UNIMPLEMENTED"),
        (lambda: client.get_model_metadata("x" * 20_000), "INVALID_ARGUMENT"),
    ):
        with pytest.raises(InferenceServerException) as caught:
            call()
        assert caught.value.status() == f"StatusCode.{code}", caught.value


def test_probes_of_the_health_service(service):
    from adagen_rt.serving.grpc.messages import HEALTH

    with grpc.insecure_channel(service.address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert HEALTH["HealthCheckResponse"].FromString(check(b"", timeout=30)).status == 1
        request = HEALTH["HealthCheckRequest"](service="other").SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            check(request, timeout=30)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_token_and_a_request_id(start, caplog):
    caplog.set_level("INFO")
    service = start(token="secret")
    with triton.InferenceServerClient(service.address) as client:
        assert client.is_server_ready()
        for headers in ({}, {"authorization": "Bearer wrong"}):
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                client.infer("tiny", label(), headers=headers)
            with pytest.raises(InferenceServerException, match="UNAUTHENTICATED"):
                client.get_server_metadata(headers=headers)
        headers = {"authorization": "Bearer secret", "x-request-id": "mine"}
        client.infer("tiny", label(), headers=headers)
    line = next(one.fields for one in caplog.records if "mine" in str(vars(one).get("fields")))
    assert (line["scheme"], line["client"], line["model"]) == ("grpc", "127.0.0.1", "tiny")


def test_tls_and_a_certificate_that_is_replaced(start, tmp_path):
    trustme = pytest.importorskip("trustme")
    from adagen_rt.serving.http.tls import Certificate

    def issue():
        authority, file = trustme.CA(), tmp_path / "server.pem"
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(file)
        return authority.cert_pem.bytes(), file

    def live(root, address):
        credentials = grpc.ssl_channel_credentials(root)
        with grpc.secure_channel(address, credentials) as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ServerLive")
            return call(b"", timeout=30)

    first, file = issue()
    certificate = Certificate(file)
    service = start(certificate=certificate)
    address = f"localhost:{service.port}"
    assert live(first, address) == b"\x08\x01"
    second, _ = issue()
    certificate.reload()
    assert live(second, address) == b"\x08\x01"
    with pytest.raises(grpc.RpcError):
        live(first, address)


def test_the_command_speaks_both_and_ends(judged_engine):
    arguments = ("serve", judged_engine, "--port", 0, "--grpc-port", 0, "--threads", 1)
    with Process(COMMAND, *arguments) as server:
        urls = [line["url"] for line in server.lines if line["message"] == "listening"]
        (address,) = [url.removeprefix("grpc://") for url in urls if url.startswith("grpc:")]
        with triton.InferenceServerClient(address) as client:
            assert client.infer("tiny", label()).as_numpy("image") is not None
            client.start_stream(lambda result, error: None)
            assert server.stop(signal.SIGTERM) == 0


def test_a_port_that_is_taken(refuse, tiny_engine, service):
    line = refuse("serve", tiny_engine, "--port", 0, "--grpc-port", service.port)
    assert "in use" in line
