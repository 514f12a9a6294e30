import json
import signal

import pytest
from process import start_python

pytest.importorskip("onnx_ir", reason="needs the extra bundle")


def test_the_command_writes_what_generate_and_inspect_read(tmp_path, run):
    out = tmp_path / "one.onnx"
    done = run("bundle", "fashion-sit", "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"written: {out}")
    options = ("--count", 3, "--seed", 5, "--json")
    for engine, picture in ((out, "bundle.png"), ("fashion-sit", "engine.png")):
        made = run("generate", "--engine", engine, "--out", tmp_path / picture, *options)
        assert made.exit_code == 0, made.output
    facts = json.loads(run("inspect", out, "--json").stdout)
    assert facts["bundle"]["form"] == "loop"
    assert facts["bundle"]["steps"] == 8
    assert "whole generation" in run("inspect", out).stdout
    again = run(
        "generate",
        "--repeat",
        tmp_path / "bundle.png",
        "--engine",
        out,
        "--out",
        tmp_path / "b.png",
    )
    assert again.exit_code == 0, again.output
    assert run("bundle", "fashion-sit", "--out", out).exit_code == 0
    (tmp_path / "mine.onnx").write_bytes(b"mine")
    refused = run("bundle", "fashion-sit", "--out", tmp_path / "mine.onnx")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert run("bundle", "fashion-sit").exit_code == 2
    for command in (("bundle",), ("quantize",), ("quantize", "--half"), ("triton-repository",)):
        refused = run(command[0], out, *command[1:], "--out", tmp_path / "two.onnx")
        assert refused.exit_code == 2
        assert "expected an engine's folder: this is one model already" in refused.stderr


def test_what_is_refused_leaves_no_folder(tmp_path, refuse):
    asked = ("bundle", "fashion-sit", "--triton", tmp_path / "models", "--for", "tensorrt")
    assert "best-of: got 2, expected 1 for tensorrt" in refuse(*asked, "--best-of", 2)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("target", "options", "told"),
    [
        ("--web", ("--form", "step"), "form: got 'step', expected loop or unrolled with web"),
        ("--triton", ("--form", "step"), "form: got 'step', expected loop or unrolled with tri"),
        ("--web", ("--steps-input", 8), "steps-input: got 8, expected none with web"),
    ],
)
def test_a_target_gets_the_one_model_that_it_can_run(tmp_path, refuse, target, options, told):
    out = tmp_path / "here"
    assert told in refuse("bundle", "fashion-sit", target, out, *options)
    assert not out.exists()


def test_every_target_is_checked_before_one_is_written(tmp_path, refuse):
    one, web, mine = tmp_path / "one.onnx", tmp_path / "web", tmp_path / "mine"
    mine.write_text("mine")
    asked = ("bundle", "fashion-sit", "--out", one)
    assert "form: got 'step'" in refuse(*asked, "--form", "step", "--web", web)
    assert "expected a place to write" in refuse(*asked, "--triton", mine)
    assert "runtime: got" in refuse(*asked, "--web", web, "--runtime", tmp_path)
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--steps-input", 0), "steps-input: got 0, expected an integer from 1 to 1000"),
        (("--steps-input", 3), "steps-input: got 3, expected an even number"),
        (("--steps", 3), "steps: got 3, expected an even number"),
        (("--static", "--fidelity-input"), "fidelity-input: got 1, expected 0 with a static"),
    ],
)
def test_an_option_is_refused_by_its_own_name(tmp_path, refuse, options, told):
    assert told in refuse("bundle", "fashion-sit", "--out", tmp_path / "one.onnx", *options)


#: Dies in a function that is called late, of all that a target does.
KILLED = """
import os, signal, sys
from importlib import import_module
from adagen_rt.cli import main
place, name = sys.argv[1].split(":")
setattr(import_module(place), name, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    ("target", "options", "last", "kept"),
    [
        ("--out", (), "write:append_facts", {"": b"old"}),
        (
            *("--web", ("--runtime", "runtime"), "web:page_facts"),
            {"model.json": b"old", "model.onnx": b"old"},
        ),
        (
            *("--triton", (), "targets:triton_config"),
            {"fashion-sit/config.pbtxt": b"old", "fashion-sit/1/model.onnx": b"old"},
        ),
    ],
)
def test_a_writer_that_is_killed_leaves_what_was_there(tmp_path, target, options, last, kept):
    runtime, place = tmp_path / "runtime", tmp_path / ("out.onnx" if "" in kept else "out")
    runtime.mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        (runtime / name).touch()
    for name, content in kept.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    options = [str(runtime) if option == "runtime" else option for option in options]
    asked = ("bundle", "fashion-sit", target, place, "--overwrite", "--threads", 1, *options)
    last = f"adagen_rt.onegraph.{last}"
    assert start_python(KILLED, last, *asked).wait(timeout=120) == -signal.SIGKILL
    there = [path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file()]
    whole = [path for path in there if ".adagen-" not in str(path)]
    assert {path: path.read_bytes() for path in whole} == {place / n: c for n, c in kept.items()}


def test_a_file_that_may_be_written_needs_its_folder_too(tmp_path, refuse, monkeypatch):
    from adagen_rt.files import checks

    one = tmp_path / "one.onnx"
    one.write_bytes(b"mine")
    monkeypatch.setattr(checks.os, "access", lambda path, mode: str(path) == str(one))
    told = refuse("bundle", "fashion-sit", "--out", one, "--overwrite")
    assert f"out: got '{tmp_path}', expected a place to write" in told
