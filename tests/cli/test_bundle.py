import json

import pytest

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
        ("--web", ("--steps-input", 8), "steps_input: got 8, expected none with web"),
    ],
)
def test_a_target_gets_the_one_model_that_it_can_run(tmp_path, refuse, target, options, told):
    out = tmp_path / "here"
    assert told in refuse("bundle", "fashion-sit", target, out, *options)
    assert not out.exists()
