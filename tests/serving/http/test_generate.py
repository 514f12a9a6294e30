"""Triton's generate extension: fields in, flat outputs or a stream of them out."""

import json

import numpy as np
import pytest
from http_server import begin, wait_until

pytest.importorskip("fastapi")
PATH = "/v2/models/tiny/generate"


def stream(service, body, path=f"{PATH}_stream"):
    answer = service.ask("POST", path, body)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    parts = answer.body.decode().strip().split("\n\n")
    return [json.loads(part.removeprefix("data: ")) for part in parts]


@pytest.mark.parametrize("path", [PATH, "/v2/models/tiny/versions/1/generate"])
def test_an_image_equals_the_offline_one(service, offline, path):
    answer = service.ask("POST", path, {"id": "a", "label": "t-bar", "seed": 7, "fidelity": 0.5})
    assert answer.status == 200
    found = answer.json()
    expected = offline([2], [7], fidelity=0.5)
    assert found.pop("image") == expected.images.ravel().tolist()
    assert found == {
        "id": "a", "model_name": "tiny", "model_version": "1", "label": 2, "seed": 7,
    }  # fmt: skip


def test_several_images_and_parameters_of_their_own(service, offline):
    body = {"label": [0, 1], "parameters": {"seed": [3, 4], "best_of": 2}}
    found = service.ask("POST", PATH, body).json()
    expected = offline([0, 1], [3, 4], best_of=2)
    assert found["image"] == expected.images.ravel().tolist()
    assert found["seed"] == expected.seeds.tolist()


@pytest.mark.parametrize(
    "path", [f"{PATH}_stream", "/v2/models/tiny/versions/1/generate_stream"]
)  # fmt: skip
def test_a_stream_shows_previews_and_then_the_image(service, offline, path):
    *previews, last = stream(service, {"label": 1, "seed": 9, "preview_every": 2, "steps": 7}, path)
    expected = offline([1], [9], steps=7)
    assert [one["step"] for one in previews] == [2, 4, 6]
    assert {one["steps"] for one in previews} == {7}
    for one in previews:
        assert len(one["image"]) == expected.images.size
        chosen = np.stack([values[: one["step"], 0] for values in expected.schedule.values()], -1)
        np.testing.assert_allclose(one["schedule"], chosen.ravel(), rtol=1e-5)
    assert last["image"] == expected.images.ravel().tolist()
    assert last["seed"] == 9


def test_a_stream_without_previews_has_one_answer(service):
    (only,) = stream(service, {"label": [0, 1, 2]})
    assert only["label"] == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"label": 7}, "inputs.label: got 7"),
        ({"label": 0.5}, "inputs.label: got 0.5"),
        ({"label": True}, "inputs.label: got True"),
        ({"label": None}, "inputs.label"),
        ({"label": {}}, "inputs.label"),
        ({"label": []}, "inputs.label"),
        ({"label": [0, "circle"]}, "inputs.label: got 'circle'"),
        ({"label": [[[0]]]}, "inputs.label"),
        ({"label": 0, "seed": 1 << 63}, "inputs.seed"),
        ({"label": 0, "seed": 1 << 70}, "inputs.seed"),
        ({"label": 0, "colour": "red"}, "colour"),
        ({"label": 0, "parameters": {"label": 1}}, "label: got 'twice'"),
        ({"label": 0, "parameters": []}, "parameters"),
        ({"label": 0, "preview_every": -1}, "preview_every"),
        ({"seed": 0}, "inputs"),
        ({}, "inputs"),
        ([], "generate request"),
    ],
)
def test_refusals_name_the_field(service, body, told):
    for path in (PATH, f"{PATH}_stream"):
        answer = service.ask("POST", path, body)
        assert answer.status == 400
        assert told in answer.json()["error"]


def test_previews_are_for_one_image_on_a_stream(service):
    answer = service.ask("POST", PATH, {"label": 0, "preview_every": 1})
    assert answer.status == 400
    assert "preview_every: got 1, expected 0" in answer.json()["error"]
    answer = service.ask("POST", f"{PATH}_stream", {"label": [0, 1], "preview_every": 1})
    assert "one image in a request with previews" in answer.json()["error"]


def test_unknown_models_and_versions(service):
    for path in (
        "/v2/models/other/generate",
        "/v2/models/tiny/versions/2/generate",
        "/v2/models/tiny/versions/2/generate_stream",
    ):
        assert service.ask("POST", path, {"label": 0}).status == 404


def test_a_client_that_leaves_frees_the_slot(gated):
    service = gated()
    service.gate.shut()
    opened = begin(service.port, f"{PATH}_stream", {"label": 0, "steps": 1000})
    wait_until(lambda: service.engine.stats().running == 1)
    opened.close()
    service.gate.open()
    wait_until(lambda: service.engine.stats().finished.get("cancelled") == 1)


def test_an_error_after_the_first_answer_is_an_event(gated):
    service = gated()
    service.gate.shut()
    opened = begin(service.port, f"{PATH}_stream", {"id": "x", "label": 0, "timeout": 200_000})
    wait_until(lambda: service.engine.stats().running == 1)
    wait_until(lambda: service.engine.stalled > 0.3)
    service.gate.open()
    text = b""
    while b"error" not in text:
        text += opened.recv(4096)
    opened.close()
    assert b'"id":"x"' in text
    assert b'"status":504' in text
