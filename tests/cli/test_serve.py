"""Bad arguments of `serve`; what it does is tested under serving/http."""

import socket

import pytest

pytest.importorskip("fastapi")

COMMON = {"max_batch": 2, "max_queue": 4, "max_queue_cost": 100, "cache_mb": 0, "threads": 1}


def read(typed, written=()):
    from adagen_rt.cli.support.serve_engines import read_engines

    return read_engines(typed, written, COMMON)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--port", 70000), "port: got 70000, expected an integer from 0 to 65535"),
        (("--max-batch", 0), "max-batch: got 0"),
        (("--max-queue", 0), "max-queue: got 0"),
        (("--threads", 0), "threads: got 0"),
        (("--timeout", 0), "timeout: got 0"),
        (("--timeout", "nan"), "timeout: got nan"),
        (("--token-file", "nowhere"), "nowhere"),
    ],
)
def test_bad_options(refuse, tiny_engine, options, told):
    assert told in refuse("serve", tiny_engine, *options)


def test_no_engine(refuse):
    assert "ENGINE" in refuse("serve")
    assert "nowhere" in refuse("serve", "nowhere")


def test_the_same_engine_twice(refuse, tiny_engine):
    assert "different names" in refuse("serve", tiny_engine, tiny_engine)


def test_engines_take_the_names_that_they_are_given(tiny_engine):
    assert list(read([str(tiny_engine), f"other={tiny_engine}"])) == ["tiny", "other"]


@pytest.mark.parametrize("name", ["", "a b", "../evil", "a" * 101])
def test_names_that_no_engine_can_have(refuse, tiny_engine, name):
    assert refuse("serve", f"{name}={tiny_engine}").startswith("Error: name: got ")


def test_a_folder_with_an_equals_sign(tiny_engine, tmp_path):
    folder = tmp_path / "a=b"
    folder.symlink_to(tiny_engine)
    assert list(read([str(folder)])) == ["tiny"]


@pytest.mark.parametrize("content", ["", " \n", "two words", "tab\there", "café"])
def test_tokens_that_no_header_can_carry(refuse, tiny_engine, tmp_path, content):
    (tmp_path / "token").write_text(content)
    line = refuse("serve", tiny_engine, "--token-file", tmp_path / "token")
    assert line.startswith("Error: token-file: ")
    assert content.strip() == "" or content not in line


def test_an_empty_token_in_the_environment(refuse, tiny_engine, monkeypatch):
    monkeypatch.setenv("ADAGEN_TOKEN", "")
    assert "ADAGEN_TOKEN" in refuse("serve", tiny_engine)


def test_a_port_in_use(refuse, tiny_engine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        line = refuse("serve", tiny_engine, "--port", taken.getsockname()[1])
    assert "in use" in line


def test_without_the_extra(refuse, tiny_engine, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith("adagen_rt.serving.http")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'adagen-rt[serve]'" in refuse("serve", tiny_engine)
