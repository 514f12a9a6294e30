"""Pages of others, names that point here, and content types that browsers send unasked."""

import pytest
from http_server import ask, running

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"
PATHS = [
    (GENERATE, {"prompt": 0}),
    ("/events", {"label": 0}),
    (
        "/v2/models/tiny/infer",
        {"inputs": [{"name": "label", "shape": [1], "datatype": "INT64", "data": [0]}]},
    ),
]


@pytest.mark.parametrize(("path", "body"), PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_others_are_refused(service, path, body, headers):
    answer = service.ask("POST", path, body, headers)
    assert answer.status == 403
    assert b"Origin" in answer.body
    assert not service.engine.stats().running


@pytest.mark.parametrize(("path", "body"), PATHS)
def test_the_own_page_is_not(service, path, body):
    headers = {"Origin": f"http://127.0.0.1:{service.port}", "Sec-Fetch-Site": "same-origin"}
    assert service.ask("POST", path, body, headers).status == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*"],
)
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_content_types_that_need_no_permission_are_refused(service, path, body, kind):
    answer = service.ask("POST", path, body, {"Content-Type": kind})
    assert answer.status == 415
    assert b"application/json" in answer.body


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_is_accepted_however_it_is_spelled(service, kind):
    assert service.ask("POST", *PATHS[0], {"Content-Type": kind}).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "", "a@localhost@b", "["],
)
def test_names_that_nobody_allowed_are_refused(service, host):
    for method, path, body in (("GET", "/v1/models", None), ("POST", *PATHS[0])):
        answer = service.ask(method, path, body, {"Host": host})
        assert answer.status in (400, 421)  # uvicorn refuses what is no header
    assert service.ask("GET", "/v2/health/live", None, {"Host": "10.0.0.1.evil"}).status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "app.localhost:80", "127.0.0.1", "10.2.3.4", "[::1]:8"]
)
def test_loopback_names_and_addresses_are_not(service, host):
    assert service.ask("GET", "/v1/models", None, {"Host": host}).status == 200


def test_names_that_are_allowed(service):
    from adagen_rt.serving.http import Settings, create_app

    with running(create_app(service.fleet, Settings(allowed_hosts=("images.example",)))) as port:
        for host, status in (("Images.Example:8", 200), ("other.example", 421)):
            assert ask(port, "GET", "/v1/models", None, {"Host": host}).status == status
        # A proxy may name another host than the page's.
        headers = {"Origin": "https://images.example"}
        assert ask(port, "POST", *PATHS[0], headers).status == 200
    with running(create_app(service.fleet, Settings(allowed_hosts=("*",)))) as port:
        assert ask(port, "GET", "/v1/models", None, {"Host": "any.example"}).status == 200


def test_a_length_beside_chunks_is_refused(service):
    headers = {"Content-Length": "5", "Transfer-Encoding": "chunked"}
    answer = service.ask("POST", GENERATE, [b"{}"], {**headers}, chunked=True)
    assert answer.status == 400


@pytest.mark.parametrize("path", ["/", "/v2/health/live", "/v1/models", "/metrics"])
def test_head_is_answered_as_get_without_a_body(service, path):
    asked, got = service.ask("HEAD", path), service.ask("GET", path)
    assert asked.status == got.status == 200
    assert asked.body == b""
    assert asked.headers["content-type"] == got.headers["content-type"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/v1/models", "GET"), ("GET", GENERATE, "POST"), ("PUT", "/events", "POST")],
)
def test_other_methods_are_told_which_is_allowed(service, method, path, allowed):
    answer = service.ask(method, path)
    assert answer.status == 405
    assert allowed in answer.headers["allow"]


def test_a_slash_too_many_is_not_found_and_names_no_host(service):
    answer = service.ask("GET", "/v1/models/", None, {"Host": "127.0.0.9"})
    assert answer.status == 404
    assert "location" not in answer.headers


def test_an_application_under_a_path(service):
    from fastapi import FastAPI

    from adagen_rt.serving.http import Settings, create_app

    outer = FastAPI()
    outer.mount("/img", create_app(service.fleet, Settings(token="open-sesame")))
    with running(outer) as port:
        for path in ("/img/", "/img/v2/health/live", "/img/v2/health/ready"):
            assert ask(port, "GET", path).status == 200
        for path in ("/img/v1/models", "/img/metrics", "/img/v2"):
            assert ask(port, "GET", path).status == 401
        refused = ask(port, "POST", "/img/v2/models/tiny/infer", {})
        assert isinstance(refused.json()["error"], str)
        token = {"Authorization": "Bearer open-sesame"}
        assert ask(port, "POST", f"/img{GENERATE}", {"prompt": 0}, token).status == 200
        wrong = ask(port, "POST", "/img/v2/models/none/infer", {}, token)
        assert isinstance(wrong.json()["error"], str)


def test_one_engine_that_cannot_be_described_leaves_the_others(service):
    from adagen_rt.serving.http import Fleet, create_app
    from adagen_rt.serving.http.metrics import Metrics

    class Broken:
        name = "broken"
        manifest = None
        alive = True

    fleet = Fleet(["broken", "tiny"])
    fleet.add(Broken())
    fleet.add(service.engine)

    with running(create_app(fleet, metrics=Metrics())) as port:
        answer = ask(port, "GET", "/v1/models")
        assert answer.status == 200
        assert [model["id"] for model in answer.json()["data"]] == ["tiny"]
