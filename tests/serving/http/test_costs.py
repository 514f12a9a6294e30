"""What a request may cost, what a refusal says of the wait, and who goes first."""

import pytest
from http_server import ask, running, wait_until

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"
INFER = "/v2/models/tiny/infer"
LABEL = {"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}


def costly(path, **options):
    """A request of one image with options, as its API has it."""
    if path == INFER:
        return {"inputs": [LABEL], "parameters": options}
    return {"prompt" if path == GENERATE else "label": 0, **options}


@pytest.mark.parametrize("path", [GENERATE, INFER, "/events"])
def test_one_request_cannot_cost_everything(service, path):
    answer = service.ask("POST", path, costly(path, best_of=64, steps=1000))
    assert answer.status == 400
    told = answer.body.decode()
    assert "cost: got '64000 backbone rows: 1 images x best_of 64 x refine 1 x steps 1000'" in told
    assert "at most 8192" in told
    assert not service.engine.stats().running


@pytest.mark.parametrize(("options", "cost"), [({}, 4), ({"refine": 2}, 8), ({"n": 3}, 12)])
def test_the_limit_is_the_operators(service, options, cost):
    from adagen_rt.serving.http import Settings, create_app

    for limit, status in ((cost, 200), (cost - 1, 400)):
        app = create_app(service.fleet, Settings(request_cost=limit))
        with running(app) as port:
            assert ask(port, "POST", GENERATE, {"prompt": 0, **options}).status == status


def test_retry_after_is_the_time_that_what_waits_takes(gated):
    service = gated(max_batch=1, max_queue=2)
    service.gate.shut()
    jobs = [service.engine.submit(0, seed, steps=500) for seed in range(1)]
    wait_until(lambda: service.engine.stats().running == 1)
    jobs += [service.engine.submit(0, seed, steps=500) for seed in range(2)]
    service.engine._scheduler.pace = 0.1
    refused = service.ask("POST", GENERATE, {"prompt": 0})
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) == pytest.approx(150, abs=2)
    for job in jobs:
        job.cancel()


@pytest.mark.parametrize("value", ["0", "4", "high", "", "1.0"])
def test_priorities_that_there_are_not(service, value):
    answer = service.ask("POST", GENERATE, {"prompt": 0}, {"X-Request-Priority": value})
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "X-Request-Priority"


def test_priorities_and_clients_reach_the_engine(service, monkeypatch):
    seen = []
    submit = type(service.engine).submit

    def watched(engine, *args, caller, **options):
        seen.append(caller)
        return submit(engine, *args, caller=caller, **options)

    monkeypatch.setattr(type(service.engine), "submit", watched)
    for value in "123":
        headers = {"X-Request-Priority": value}
        assert service.ask("POST", GENERATE, {"prompt": 0, "n": 2}, headers).status == 200
    for value in range(4):
        assert service.ask("POST", INFER, costly(INFER, priority=value)).status == 200
    assert service.ask("POST", INFER, costly(INFER, priority=4)).status == 400
    assert [caller.priority for caller in seen] == [1, 1, 2, 2, 3, 3, 2, 1, 2, 3]
    assert {caller.client for caller in seen} == {"127.0.0.1"}
    # The images of one request belong together, and those of two do not.
    assert seen[0].request == seen[1].request != seen[2].request


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_clients_are_told_apart_by_address(host, client):
    from adagen_rt.serving.http.clients import client_of

    assert client_of(host) == client
