"""Bodies of an allowed size that would take seconds to parse, validate or answer."""

import json
import threading

import pytest
from http_server import ask

pytest.importorskip("fastapi")

INFER = "/v2/models/tiny/infer"
GENERATE = "/v1/images/generations"
JSON = {"Content-Type": "application/json"}
LABEL = {"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}
#: Under the limit of bytes, each of them; the path, the body, and what is told.
HOSTILE = {
    "inputs": (INFER, {"inputs": [{}] * 200_000}, "values"),
    "outputs": (INFER, {"inputs": [LABEL], "outputs": [{}] * 200_000}, "values"),
    "names": (INFER, {"inputs": [LABEL], "outputs": [{"name": "x"}] * 50_000}, "values"),
    "keys": (GENERATE, {"prompt": 0, **{str(i): 0 for i in range(80_000)}}, "values"),
    "events": ("/events", {"label": 0, **{str(i): 0 for i in range(80_000)}}, "values"),
    "data": (INFER, {"inputs": [{**LABEL, "data": [[]] * 200_000}]}, "values"),
    "few keys": (GENERATE, {"prompt": 0, **{str(i): 0 for i in range(2_000)}}, "names of fields"),
}


def packed(body):
    text = json.dumps(body, separators=(",", ":")).encode()
    assert len(text) < 1 << 20
    return text


@pytest.mark.parametrize("case", HOSTILE)
def test_bodies_of_many_values_are_refused_with_their_number(service, case):
    path, body, told = HOSTILE[case]
    answer = service.ask("POST", path, packed(body), JSON)
    assert answer.status == 400
    assert len(answer.body) < 500
    text = answer.body.decode()
    assert "body: got '" in text
    assert f" {told}', expected at most" in text


def test_the_binary_part_is_not_counted(service):
    from adagen_rt.serving.http.bounds import MAX_VALUES

    head = json.dumps({"inputs": [{**LABEL, "data": None, "parameters": {"binary_data_size": 8}}]})
    body = head.encode() + b"," * (MAX_VALUES + 1)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = service.ask("POST", INFER, body, headers)
    assert answer.status == 400
    assert "bytes more" in answer.json()["error"]


def test_a_long_list_is_given_up_at_its_first_fault():
    from pydantic import ValidationError

    from adagen_rt.serving.http.tensors import InferRequest

    for name in ("inputs", "outputs"):
        text = packed({"inputs": [LABEL], name: [{}] * 2000})
        with pytest.raises(ValidationError) as caught:
            InferRequest.model_validate_json(text)
        assert caught.value.error_count() <= 8


def test_the_first_faults_are_told_and_the_others_counted(service):
    body = {"prompt": 0, **{f"x{i}": 0 for i in range(100)}}
    told = service.ask("POST", GENERATE, body).json()["error"]["message"]
    assert told.count("not supported") == 5
    assert told.endswith("; and 95 more")
    parameters = {f"x{i}": 0 for i in range(100)}
    told = service.ask("POST", INFER, {"inputs": [LABEL], "parameters": parameters}).json()["error"]
    assert told.count("parameters.x") == 5
    assert "; and 95 more" in told


def test_strings_beyond_those_of_the_shape_are_not_read():
    from adagen_rt.serving.http.tensors import _strings

    assert len(_strings("x", bytes(4 * 100_000), 3)) == 4


def test_values_beyond_those_of_the_shape_are_not_converted(service):
    head = {**LABEL, "datatype": "UINT8", "shape": [64]}
    del head["data"]
    body = json.dumps({"inputs": [{**head, "parameters": {"binary_data_size": 900_000}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    answer = service.ask("POST", INFER, body + bytes(900_000), headers)
    assert answer.status == 400
    assert "got '900000 bytes', expected 64" in answer.json()["error"]


@pytest.mark.parametrize("digits", [4300, 4301, 100_000])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (GENERATE, '{"prompt": %s}'),
        (GENERATE, '{"prompt": "%s"}'),
        (GENERATE, '{"prompt": 0, "n": %s}'),
        (GENERATE, '{"prompt": 0, "seed": %s}'),
        (GENERATE, '{"prompt": 0, "other": %s}'),
        (GENERATE, '{"prompt": 0, "fidelity": %s}'),
        ("/events", '{"label": %s}'),
        ("/events", '{"label": "%s"}'),
        ("/events", '{"label": 0, "every": %s}'),
        (INFER, '{"inputs": [{"name": "label", "shape": [1], "datatype": "INT64", "data": [%s]}]}'),
        (
            INFER,
            '{"inputs": [{"name": "label", "shape": [1], "datatype": "BYTES", "data": ["%s"]}]}',
        ),
        (
            INFER,
            '{"inputs": [{"name": "label", "shape": [%s], "datatype": "INT64", "data": [0]}]}',
        ),
        (INFER, '{"inputs": [], "parameters": {"timeout": %s}}'),
    ],
)
def test_numbers_of_thousands_of_digits_are_refused(service, path, body, digits):
    answer = service.ask("POST", path, (body % ("9" * digits)).encode(), JSON)
    assert answer.status == 400
    assert len(answer.body) < 1500


@pytest.mark.parametrize("length", ["9" * 20, "9" * 5000])
def test_lengths_of_thousands_of_digits_are_refused(service, length):
    headers = {"Inference-Header-Content-Length": length}
    assert service.ask("POST", INFER, b"{}", headers).status == 400


@pytest.mark.parametrize("digits", [4301, 100_000])
def test_an_argument_of_thousands_of_digits_has_its_message(digits):
    from adagen_rt.errors import InputError

    message = str(InputError("label", 10**digits, "less"))
    assert message == "label: got a value of thousands of digits, expected less"
    assert len(str(InputError("label", "x" * digits, "less"))) < 300


def test_a_fault_of_the_text_names_no_field(service):
    answer = service.ask("POST", GENERATE, b'{"prompt": 0', JSON)
    assert answer.status == 400
    assert answer.json()["error"]["param"] is None
    assert answer.json()["error"]["message"].startswith("body: ")


@pytest.mark.parametrize("path", [GENERATE, "/events"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"prompt": "a\xff"}', "got b'\\xff\"}' at byte 14, expected JSON in UTF-8"),
        (b'{"prompt": "a\x07"}', "got '\\x07\"}' at character 14 (invalid control character)"),
        (b'{"prompt": "a', "got '\"a' at character 12 (unterminated string)"),
        (b'{"prompt": ', "got '' at character 12 (expecting value)"),
        (b'{"prompt": ' + b"[" * 4000, "got "),  # too deep, or not for some versions of Python
        (b'{"prompt": ' + b"1" * 5000 + b"}", "got a number of thousands of digits, expected"),
    ],
    ids=["bytes", "control", "string", "end", "deep", "digits"],
)
def test_a_body_that_is_no_json(service, path, text, told):
    answer = service.ask("POST", path, text, JSON)
    assert answer.status == 400
    assert answer.json()["error"]["message"].startswith(f"body: {told}")


def test_a_body_that_does_not_say_json(service):
    answer = service.ask("POST", GENERATE, b'{"prompt": "circle"}')
    assert answer.status == 415
    assert answer.json()["error"]["param"] == "Content-Type"


def test_the_server_is_alive_while_it_refuses(service):
    """All of them at once; each probe has as long as its client waits at most."""
    bodies = [(path, packed(body)) for path, body, _ in HOSTILE.values()]
    threads = [
        threading.Thread(target=ask, args=(service.port, "POST", path, body, JSON))
        for path, body in bodies * 3
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        answer = ask(service.port, "GET", "/v2/health/live", timeout=2)
        assert answer.status == 200
    for thread in threads:
        thread.join()
