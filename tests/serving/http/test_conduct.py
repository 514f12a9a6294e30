"""A queue that is full, deadlines, clients that leave, engines that are not warm yet."""

import threading

import numpy as np
import pytest
from http_server import ask, begin, running, wait_until

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"


def in_thread(service, body, headers=()):
    """Ask in a thread; returns it and the list that the answer will be in."""
    answers = []
    target = lambda: answers.append(service.ask("POST", GENERATE, body, headers))  # noqa: E731
    thread = threading.Thread(target=target)
    thread.start()
    return thread, answers


def finished(service, outcome):
    return service.engine.stats().finished.get(outcome, 0)


def busy(service, running=1, queued=0):
    stats = service.engine.stats()
    return (stats.running, stats.queued) == (running, queued)


def test_a_full_queue(gated, offline):
    service = gated(max_batch=1, max_queue=1)
    service.gate.shut()
    first, answers = in_thread(service, {"prompt": 0, "seed": 1})
    wait_until(lambda: busy(service))
    second, others = in_thread(service, {"prompt": 1, "seed": 2})
    wait_until(lambda: busy(service, queued=1))
    refused = service.ask("POST", GENERATE, {"prompt": 2})
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    triton = service.ask("POST", "/v2/models/tiny/infer", INFER)
    assert triton.status == 429
    service.gate.open()
    first.join()
    second.join()
    assert [answers[0].status, others[0].status] == [200, 200]
    assert service.ask("POST", GENERATE, {"prompt": 2}).status == 200


INFER = {"inputs": [{"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}]}


def test_all_images_of_a_request_or_none(gated):
    service = gated(max_batch=1, max_queue=2)
    service.gate.shut()
    first, answers = in_thread(service, {"prompt": 0})
    wait_until(lambda: busy(service))
    second, others = in_thread(service, {"prompt": 0})
    wait_until(lambda: busy(service, queued=1))
    assert service.ask("POST", GENERATE, {"prompt": 0, "n": 2}).status == 429
    too_many = service.ask("POST", GENERATE, {"prompt": 0, "n": 3})
    assert too_many.status == 400
    service.gate.open()
    first.join()
    second.join()
    assert [answers[0].status, others[0].status] == [200, 200]
    wait_until(lambda: busy(service, 0))
    assert (finished(service, "ok"), finished(service, "cancelled")) == (2, 1)


def test_a_deadline_in_the_queue(gated):
    service = gated()
    service.gate.shut()
    first, answers = in_thread(service, {"prompt": 0})
    wait_until(lambda: busy(service))
    late, refused = in_thread(service, {"prompt": 1}, {"X-Request-Timeout": "0.02"})
    wait_until(lambda: refused or busy(service, queued=1))
    threading.Event().wait(0.05)
    held = service.gate.steps
    service.gate.open()
    first.join()
    late.join()
    assert answers[0].status == 200
    assert refused[0].status == 504
    assert refused[0].json()["error"]["code"] == "deadline_exceeded"
    assert finished(service, "deadline") == 1
    # Nothing was computed for it: the first image's four steps, of which one was begun.
    assert service.gate.steps - held == 4


def test_a_deadline_under_way(gated):
    service = gated(timeout=0.05)
    service.gate.shut()
    thread, answers = in_thread(service, {"prompt": 0})
    wait_until(lambda: busy(service))
    threading.Event().wait(0.1)
    service.gate.open()
    thread.join()
    assert answers[0].status == 504
    wait_until(lambda: busy(service, 0))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (GENERATE, {"prompt": 0, "n": 2, "steps": 1000}),
        ("/v2/models/tiny/infer", {**INFER, "parameters": {"steps": 1000}}),
        ("/events", {"label": 0, "steps": 1000, "every": 1000}),
    ],
)
def test_a_client_that_leaves_frees_its_slots(gated, offline, path, body):
    service = gated(max_batch=4, max_queue=4)
    neighbour, answers = None, []
    service.gate.shut()
    opened = begin(service.port, path, body)
    wait_until(lambda: service.engine.stats().running)
    neighbour, answers = in_thread(service, {"prompt": 2, "seed": 8, "steps": 40})
    wait_until(lambda: service.engine.stats().queued)
    held = service.gate.steps
    opened.close()
    threading.Event().wait(0.1)
    service.gate.open()
    neighbour.join()
    wait_until(lambda: busy(service, 0))
    assert finished(service, "cancelled") == body.get("n", 1)
    assert answers[0].status == 200
    # Less than a tenth of what the one who left had asked for.
    assert service.gate.steps - held < 100
    datum = answers[0].json()["data"][0]
    assert decode(datum["b64_json"]) == offline([2], [8], steps=40).images[0].tolist()


def test_a_client_that_leaves_the_queue(gated):
    service = gated(max_batch=1, max_queue=1)
    service.gate.shut()
    first, answers = in_thread(service, {"prompt": 0})
    wait_until(lambda: busy(service))
    opened = begin(service.port, GENERATE, {"prompt": 1})
    wait_until(lambda: busy(service, queued=1))
    opened.close()
    threading.Event().wait(0.1)
    service.gate.open()
    first.join()
    wait_until(lambda: busy(service, 0))
    assert answers[0].status == 200
    assert finished(service, "cancelled") == 1


def decode(text):
    import base64
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))[..., None].tolist()


def test_not_ready_until_every_engine_is_warm(service):
    from adagen_rt.serving.http import Fleet, create_app

    fleet = Fleet(["tiny", "judged", "other"])
    with running(create_app(fleet)) as port:
        body = {"prompt": 0, "model": "tiny"}
        cold = ask(port, "POST", GENERATE, body)
        assert cold.status == 503
        assert "warming up" in cold.json()["error"]["message"]
        assert int(cold.headers["retry-after"]) >= 1
        fleet.add(service.engine)
        assert ask(port, "POST", GENERATE, body).status == 200
        assert ask(port, "GET", "/v2/models/tiny/ready").status == 200
        assert ask(port, "GET", "/v2/health/live").status == 200
        assert ask(port, "GET", "/v2/health/ready").status == 503
        ambiguous = ask(port, "POST", GENERATE, {"prompt": 0})
        assert ambiguous.status == 400
        assert ambiguous.json()["error"]["param"] == "model"


def test_engines_of_one_name():
    from adagen_rt.errors import InputError
    from adagen_rt.serving.http import Fleet

    with pytest.raises(InputError, match="different names"):
        Fleet(["tiny", "tiny"])


def test_an_engine_that_is_closed(gated):
    service = gated()
    service.engine.close()
    answer = service.ask("POST", GENERATE, {"prompt": 0})
    assert answer.status == 503
    assert "retry-after" in answer.headers


def test_what_nobody_expected_is_told_without_details(gated, monkeypatch, caplog):
    service = gated()

    def fail(*_, **__):
        raise RuntimeError("/secret/path/model.onnx is broken")

    monkeypatch.setattr(type(service.engine), "submit", fail)
    for path, body in ((GENERATE, {"prompt": 0}), ("/v2/models/tiny/infer", INFER)):
        answer = service.ask("POST", path, body, {"X-Request-Id": "mine"})
        assert answer.status == 500
        assert answer.headers["x-request-id"] == "mine"
        assert b"secret" not in answer.body
    assert "/secret/path" in caplog.text
