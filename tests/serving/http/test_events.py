"""An image step by step."""

import base64
import io

import numpy as np
import pytest
from http_server import begin, events, wait_until
from PIL import Image

pytest.importorskip("fastapi")


def watch(service, **body):
    answer = service.ask("POST", "/events", body)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream")
    return events(answer.body.decode())


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image"]))))[..., None]


def test_every_step_and_the_image(service, offline):
    seed = (1 << 63) - 1
    first, *steps, last = watch(service, label="square", seed=seed)
    expected = offline([1], [seed])
    assert first[0] == "queued"
    assert first[1]["seed"] == str(seed)
    assert [len(values) for values in first[1]["static_schedule"].values()] == [4] * 4
    assert [(name, data["step"]) for name, data in steps] == [("step", i) for i in (1, 2, 3, 4)]
    for _, data in steps:
        for action, values in data["schedule"].items():
            np.testing.assert_allclose(
                values, expected.schedule[action][: data["step"], 0], rtol=1e-4
            )
    assert last[0] == "done"
    np.testing.assert_array_equal(pixels(last[1]), expected.images[0])
    np.testing.assert_array_equal(pixels(steps[-1][1]), expected.images[0])
    for action, values in last[1]["schedule"].items():
        np.testing.assert_allclose(values, expected.schedule[action][:, 0], rtol=1e-4)


def test_every_third_step_of_seven(service, offline):
    _, *steps, last = watch(service, label=0, seed=3, steps=7, every=3)
    assert [data["step"] for _, data in steps] == [3, 6, 7]
    np.testing.assert_array_equal(pixels(last[1]), offline([0], [3], steps=7).images[0])


def test_a_schedule_by_its_name(service, offline):
    *_, last = watch(service, label=0, seed=3, schedule="static")
    expected = offline([0], [3], schedule="static")
    np.testing.assert_array_equal(pixels(last[1]), expected.images[0])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "label"),
        ({"label": "x"}, "label"),
        ({"label": 0, "every": 0}, "every"),
        ({"label": 0, "seed": -1}, "seed"),
        ({"label": 0, "n": 2}, "n"),
    ],
)
def test_refusals_name_the_field(service, body, field):
    answer = service.ask("POST", "/events", body)
    assert answer.status == 400
    assert answer.json()["error"]["param"] == field


def test_a_sample_that_fails_says_so(tmp_path):
    from http_server import ask, running
    from tiny_engine import Options, build_tiny_engine

    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    folder = build_tiny_engine(tmp_path / "bad", Options(nan_logits=1))
    with BatchEngine(folder, threads=1) as engine, running(create_app(Fleet.of(engine))) as port:
        text = ask(port, "POST", "/events", {"label": 1, "seed": 0}).body.decode()
        one = ask(port, "POST", "/v1/images/generations", {"prompt": 1})
        other = ask(port, "POST", "/v1/images/generations", {"prompt": 0})
    name, data = events(text)[-1]
    assert name == "error"
    assert (data["status"], data["code"]) == (500, "sample_failed")
    assert one.status == 500
    assert "step 1" in one.json()["error"]["message"]
    assert other.status == 200


def test_a_client_that_left_before_the_stream_began(service):
    import asyncio

    from adagen_rt.serving.http.streams import EventStream

    job = service.engine.submit(0, steps=1000)

    async def never():
        yield "event"

    async def gone():
        return {"type": "http.disconnect"}

    async def send(message):
        raise BrokenPipeError

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    with pytest.raises(BrokenPipeError):
        asyncio.run(EventStream(never(), job)(scope, gone, send))
    wait_until(job.future.done)
    assert job.future.cancelled()


def test_a_silent_stream_shows_that_it_lives(gated):
    service = gated(event_keep_alive=0.05)
    service.gate.shut()
    with begin(service.port, "/events", {"label": 0}) as opened:
        text = b""
        while text.count(b": keep-alive\n\n") < 2:
            text += opened.recv(4096)
        service.gate.open()
        while b"event: done" not in text:
            text += opened.recv(4096)
    assert text.index(b"event: queued") < text.index(b": keep-alive")
