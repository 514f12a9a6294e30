"""OpenAI's images API, with OpenAI's own client."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")


@pytest.fixture
def client(service):
    address = f"http://127.0.0.1:{service.port}/v1"
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        yield client


def pixels(datum):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(datum.b64_json))))[..., None]


def test_images_equal_the_offline_ones(client, offline):
    done = client.images.generate(
        model="tiny",
        prompt="square",
        n=3,
        size="4x4",
        response_format="b64_json",
        extra_body={"seed": 11, "fidelity": 0.25, "refine": 2},
    )
    expected = offline([1] * 3, [11, 12, 13], fidelity=0.25, refine=2)
    assert [datum.seed for datum in done.data] == [11, 12, 13]
    np.testing.assert_array_equal([pixels(datum) for datum in done.data], expected.images)


def test_defaults(client, offline):
    (datum,) = client.images.generate(prompt="2").data
    np.testing.assert_array_equal(pixels(datum), offline([2], [datum.seed]).images[0])


@pytest.mark.parametrize("extra", [{"schedule": "static"}, {"static": True}])
def test_a_schedule_by_its_name_and_by_the_older_flag(client, offline, extra):
    (datum,) = client.images.generate(prompt="2", extra_body={"seed": 9, **extra}).data
    expected = offline([2], [9], schedule="static")
    np.testing.assert_array_equal(pixels(datum), expected.images[0])


def test_models(client):
    (model,) = client.models.list()
    assert model.id == "tiny"
    assert model.class_names == ["circle", "square", "t-bar"]
    assert client.models.retrieve("tiny") == model
    with pytest.raises(openai.NotFoundError, match="expected one of tiny"):
        client.models.retrieve("other")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"prompt": "a cat in a hat"}, "prompt"),
        ({"prompt": "3"}, "prompt"),
        ({"prompt": "9" * 5000}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 65}, "n"),
        ({"n": 1000000}, "n"),
        ({"n": True}, "n"),
        ({"size": "1024x1024"}, "size"),
        ({"response_format": "url"}, "response_format"),
        ({"quality": "hd"}, "quality"),
        ({"style": "vivid"}, "style"),
        ({"quality": "high"}, "quality"),
        ({"extra_body": {"background": "transparent"}}, "background"),
        ({"extra_body": {"partial_images": 2}}, "partial_images"),
        ({"stream": True}, "stream"),
        ({"extra_body": {"seed": -1}}, "seed"),
        ({"extra_body": {"seed": 1 << 63}}, "seed"),
        ({"n": 2, "extra_body": {"seed": (1 << 63) - 1}}, "seed"),
        ({"extra_body": {"fidelity": 1.5}}, "fidelity"),
        ({"extra_body": {"steps": 10**9}}, "steps"),
        ({"extra_body": {"static": "best"}}, "static"),
        ({"extra_body": {"static": "tuned"}}, "schedule"),
        ({"extra_body": {"schedule": "best"}}, "schedule"),
        ({"extra_body": {"schedule": "Static"}}, "schedule"),
        ({"extra_body": {"schedule": True}}, "schedule"),
    ],
)
def test_refusals_name_the_field(client, given, field):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"prompt": "circle", **given})
    assert caught.value.param == field
    assert caught.value.type == "invalid_request_error"
    assert caught.value.body["message"].startswith(f"{field}: ")


def test_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="circle", model="dall-e-3")
    assert caught.value.code == "model_not_found"


def test_a_graph_that_is_missing(tiny_engine):
    from http_server import ask, running

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    with (
        BatchEngine(tiny_engine, threads=1) as engine,
        running(create_app(Fleet.of(engine))) as port,
    ):
        body = {"prompt": "circle", "best_of": 2}
        answer = ask(port, "POST", "/v1/images/generations", body)
    assert answer.status == 400
    assert "best_of needs the graph 'reward'" in answer.json()["error"]["message"]
    assert str(tiny_engine) not in answer.body.decode()


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"[]", b"null", b'{"prompt": NaN}'])
def test_what_is_no_request_is_refused(service, body):
    headers = {"Content-Type": "application/json"}
    answer = service.ask("POST", "/v1/images/generations", body, headers)
    assert answer.status == 400
    assert answer.json()["error"]["message"]


def test_a_form_is_refused(service):
    headers = {"Content-Type": "text/plain"}
    answer = service.ask("POST", "/v1/images/generations", b'{"prompt": "circle"}', headers)
    assert answer.status == 415
    assert answer.json()["error"]["param"] == "Content-Type"


def test_fields_that_clients_always_send_are_accepted_at_their_defaults(client, offline):
    neutral = {
        "user": "me",
        "quality": "auto",
        "n": None,
        "extra_body": {
            "seed": 3,
            "stream": False,
            "background": "auto",
            "moderation": "auto",
            "partial_images": 0,
            "output_compression": 100,
            "output_format": None,
            "response_format": None,
        },
    }
    done = client.images.generate(prompt="circle", **neutral)
    assert [datum.seed for datum in done.data] == [3]
