"""Health and deadlines when an engine's thread hangs or is not there."""

import pytest
from http_server import wait_until

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"
READY = ["/v2/health/ready", "/v2/models/tiny/ready", "/v2/models/tiny/versions/1/ready"]


def test_an_engine_that_hangs_is_not_ready_and_then_not_alive(gated):
    service = gated(ready_seconds=0.2, live_seconds=0.6)
    for path in (*READY, "/v2/health/live"):
        assert service.ask("GET", path).status == 200
    service.gate.shut()
    job = service.engine.submit(0, 0)
    wait_until(lambda: service.ask("GET", READY[0]).status == 503)
    for path in READY:
        assert service.ask("GET", path).status == 503
    wait_until(lambda: service.ask("GET", "/v2/health/live").status == 503)
    service.gate.open()
    job.result(30)
    wait_until(lambda: service.ask("GET", "/v2/health/live").status == 200)
    for path in READY:
        assert service.ask("GET", path).status == 200


@pytest.mark.parametrize("path", [GENERATE, "/events"])
def test_a_deadline_needs_no_thread_that_moves(gated, path, monkeypatch):
    from adagen_rt.serving.http import work

    monkeypatch.setattr(work, "GRACE_SECONDS", 0.0)
    service = gated(timeout=0.2)
    service.gate.shut()
    answer = service.ask("POST", path, {"prompt" if path == GENERATE else "label": 0})
    assert b"deadline_exceeded" in answer.body
    assert answer.status == (504 if path == GENERATE else 200)
    # Its slot is free when the thread moves again.
    service.gate.open()
    wait_until(lambda: not service.engine.stats().running)


def test_a_thread_that_died_is_not_ready(gated, monkeypatch):
    service = gated()

    def die():
        raise SystemExit

    monkeypatch.setattr(service.engine._scheduler, "step", die)
    assert service.ask("POST", GENERATE, {"prompt": 0}).status == 503
    wait_until(lambda: service.ask("GET", READY[0]).status == 503)
    assert service.ask("GET", READY[1]).status == 503
    assert service.ask("POST", GENERATE, {"prompt": 0}).status == 503
