"""Several tokens, with names and limits, from a file that may be replaced."""

import logging

import pytest
from http_server import running, serving, wait_until

pytest.importorskip("fastapi")

GENERATE = "/v1/images/generations"
LINES = """
name=ann token=aaa
# somebody else's
name=bob token=bbb max-cost=8 priority=3
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "tokens").write_text(LINES)
    return tmp_path / "tokens"


def read(file):
    from adagen_rt.cli.support.serve_tokens import read_tokens

    return read_tokens(file)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_names_limits_and_priorities(service, file, caplog):
    from http_server import ask

    from adagen_rt.serving.http import Settings, create_app
    from adagen_rt.serving.http.tokens import Tokens

    caplog.set_level(logging.INFO)
    app = create_app(service.fleet, Settings(tokens=Tokens(read(file))))
    callers = []
    submit = service.engine.submit

    def watched(*arguments, **options):
        callers.append(options["caller"])
        return submit(*arguments, **options)

    with running(app) as port, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.engine, "submit", watched)
        body = {"prompt": 0, "n": 3}  # of four steps: twelve rows
        assert ask(port, "POST", GENERATE, body).status == 401
        assert ask(port, "POST", GENERATE, body, bearer("aab")).status == 401
        first = {**bearer("aaa"), "X-Request-Priority": "1"}
        assert ask(port, "POST", GENERATE, body, first).status == 200
        refused = ask(port, "POST", GENERATE, body, bearer("bbb"))
        assert refused.status == 400
        assert "at most 8 in one request" in refused.json()["error"]["message"]
        second = {**bearer("bbb"), "X-Request-Priority": "1"}
        assert ask(port, "POST", GENERATE, {"prompt": 0}, second).status == 200
    told = {(caller.client, caller.priority) for caller in callers}
    assert told == {(("token", "ann"), 1), (("token", "bob"), 3)}
    owners = [getattr(record, "fields", {}).get("owner") for record in caplog.records]
    assert {"ann", "bob"} <= set(owners)
    assert "aaa" not in caplog.text


def test_a_file_is_read_again(file, caplog):
    from http_server import ask

    from adagen_rt.serving.http import Settings
    from adagen_rt.serving.http.tokens import Tokens

    caplog.set_level(logging.INFO)
    tokens = Tokens(read(file))
    settings = Settings(tokens=tokens)

    def reload():
        tokens.replace(read(file))

    with serving({}, settings, reloads=[reload]) as (server, port):

        def status(token):
            return ask(port, "GET", "/v1/models", headers=bearer(token)).status

        file.write_text("damaged beyond repair")
        server.handle_hang_up(1, None)
        wait_until(lambda: "reloaded" in caplog.text)
        assert status("aaa") == 200
        file.write_text("name=eve token=eee\n")
        server.handle_hang_up(1, None)
        wait_until(lambda: status("eee") == 200)
        assert status("aaa") == 401


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name=a token=x\nname=a token=y\n", "the same twice"),
        ("name=a token=x\nname=b token=x\n", "the same twice"),
        ("name=a token=x max-cost=0\n", "line 1, max-cost"),
        ("name=a token=x max-cost=many\n", "line 1, max-cost"),
        ("name=a token=x\nname=b token=y priority=4\n", "line 2, priority"),
        ("name=a token=x color=red\n", "line 1: got 'color'"),
        ("name=a/b token=x\n", "line 1, name"),
        ("name=a token=x\nsomething\n", "one line of visible ASCII"),
    ],
)
def test_files_that_are_wrong(refuse, tiny_engine, file, text, told):
    file.write_text(text)
    assert told in refuse("serve", tiny_engine, "--token-file", file)


def test_the_description_says_where_a_token_is_needed(service):
    from adagen_rt.serving.http import Settings, create_app

    described = create_app(service.fleet, Settings(token="secret")).openapi()
    assert described["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer"}
    }
    paths = described["paths"]
    images = paths["/v1/images/generations"]["post"]
    assert images["security"] == [{"bearer": []}]
    assert {"200", "400", "401", "413", "415", "429", "503", "504"} <= images["responses"].keys()
    assert "422" not in str(described["paths"])
    assert "security" not in paths["/v2/health/live"]["get"]
    assert "security" not in create_app(service.fleet).openapi()["paths"]["/v2"]["get"]
