"""The cache over HTTP: what the answers, the log and the metrics say of it."""

import pytest
from http_server import ask, running

pytest.importorskip("fastapi")

GENERATE, INFER = "/v1/images/generations", "/v2/models/tiny/infer"


def infer(seed):
    shape = {"shape": [1], "datatype": "INT64"}
    columns = {"label": [1], "seed": [seed]}
    return {"inputs": [{"name": name, "data": data, **shape} for name, data in columns.items()]}


def test_every_api_says_whether_it_was_kept(judged_engine):
    from adagen_rt.serving import BatchEngine
    from adagen_rt.serving.http import Fleet, create_app

    with (
        BatchEngine(judged_engine, threads=1, cache_mb=1) as engine,
        running(create_app(Fleet.of(engine))) as port,
    ):

        def status(path, body):
            answer = ask(port, "POST", path, body)
            assert answer.status == 200
            return answer.headers["cache-status"], answer.json()

        made, first = status(GENERATE, {"prompt": 1, "seed": 5})
        kept, again = status(GENERATE, {"prompt": "square", "seed": 5})
        assert (made, kept) == ("adagen-rt; fwd=miss", "adagen-rt; hit")
        assert again["data"] == first["data"]
        assert status(GENERATE, {"prompt": 1, "seed": 5, "n": 2})[0] == "adagen-rt; fwd=partial"
        assert status(INFER, infer(5))[0] == "adagen-rt; hit"
        assert "cache-status" not in ask(port, "GET", "/v1/models").headers
        told = ask(port, "GET", "/metrics").body.decode()
    assert 'adagen_cache_lookups_total{model="tiny",result="hit"} 3.0' in told
    assert 'adagen_cache_lookups_total{model="tiny",result="miss"} 2.0' in told


def test_without_a_cache_nothing_is_said(service):
    assert "cache-status" not in service.ask("POST", GENERATE, {"prompt": 1}).headers
