"""OpenAI's images API, with OpenAI's own client."""

import base64
import io
import time

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
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"stream": True, "n": 2}, "n"),
        ({"stream": True, "size": "8x8"}, "size"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_format": "jpeg", "output_compression": 101}, "output_compression"),
        ({"extra_body": {"frame_count": 2}}, "frame_count"),
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
            "style": None,
            "svg": None,
            "safety_identifier": "me",
        },
    }
    done = client.images.generate(prompt="circle", **neutral)
    assert [datum.seed for datum in done.data] == [3]
    for name in ("quality", "background", "moderation"):
        client.images.generate(prompt="circle", **{name: {"quality": "standard"}.get(name, "auto")})


def test_what_an_answer_says(client):
    before = int(time.time())
    done = client.images.generate(prompt="1", n=2, extra_body={"best_of": 2})
    assert before <= done.created <= time.time()
    assert (done.size, done.output_format, done.background) == ("4x4", "png", "opaque")
    assert [datum.revised_prompt for datum in done.data] == ["square"] * 2
    assert [datum.url for datum in done.data] == [None] * 2
    # Two images of two candidates of four steps of two rows; a class has no tokens.
    assert (done.usage.input_tokens, done.usage.total_tokens) == (0, 32)
    assert done.usage.output_tokens == 32


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"n": 0}, "integer_below_min_value"),
        ({"partial_images": 9, "stream": True}, "integer_above_max_value"),
        ({"n": "2"}, "invalid_type"),
        ({"quality": "hd"}, "invalid_value"),
        ({"extra_body": {"nonsense": 1}}, "unknown_parameter"),
        ({"extra_body": {"prompt": openai.Omit()}}, "missing_required_parameter"),
        ({"user": "x" * 257}, "string_above_max_length"),
    ],
)
def test_codes_are_the_apis_own(client, given, code):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"prompt": "circle", **given})
    assert caught.value.code == code


def test_formats(client, offline):
    expected = offline([1], [7]).images[0, ..., 0].astype(int)

    def ask(**given):
        done = client.images.generate(prompt="1", **given, extra_body={"seed": 7})
        assert done.output_format == given["output_format"]
        content = base64.b64decode(done.data[0].b64_json)
        picture = Image.open(io.BytesIO(content))
        assert picture.format == given["output_format"].upper()
        return np.asarray(picture.convert("L")).astype(int), len(content)

    for kind in ("png", "webp"):
        np.testing.assert_array_equal(ask(output_format=kind)[0], expected)
    best, large = ask(output_format="jpeg", output_compression=100)
    assert abs(best - expected).max() < 32
    for kind in ("jpeg", "webp"):
        worst, small = ask(output_format=kind, output_compression=1)
        assert abs(worst - expected).mean() > abs(best - expected).mean()
        assert small <= large


@pytest.mark.parametrize(
    ("steps", "count", "shown"),
    [
        (4, 0, []),
        (4, 1, [2]),
        (4, 3, [1, 2, 3]),
        (7, 3, [1, 3, 5]),
        (8, 3, [2, 4, 6]),
        (2, 3, [1]),
        (1, 2, []),
    ],
)
def test_a_stream_shows_previews_and_then_the_image(client, offline, steps, count, shown):
    stream = client.images.generate(
        prompt="square",
        stream=True,
        partial_images=count,
        output_format="webp",
        extra_body={"seed": 5, "steps": steps},
    )
    *parts, last = list(stream)
    assert [part.type for part in parts] == ["image_generation.partial_image"] * len(shown)
    assert [part.step for part in parts] == shown
    assert [part.partial_image_index for part in parts] == list(range(len(shown)))
    assert last.type == "image_generation.completed"
    assert (last.size, last.output_format, last.seed) == ("4x4", "webp", 5)
    assert last.usage.output_tokens == 2 * steps
    picture = Image.open(io.BytesIO(base64.b64decode(last.b64_json))).convert("L")
    np.testing.assert_array_equal(
        np.asarray(picture)[..., None], offline([1], [5], steps=steps).images[0]
    )


def test_an_error_in_a_stream_is_raised_by_the_client(gated):
    service = gated()
    service.gate.shut()
    address = f"http://127.0.0.1:{service.port}/v1"
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
        stream = client.images.generate(
            prompt="square", stream=True, extra_headers={"X-Request-Timeout": "0.2"}
        )
        time.sleep(0.3)
        service.gate.open()
        with pytest.raises(openai.APIError, match="not made within"):
            list(stream)
