import json
import os
import sys

import pytest
import running_tensorrt
from manifests import refresh_hashes


def build(run, engine, *options):
    return run("build", engine, "--backend", "tensorrt-rtx", *options)


def test_plans_are_built_and_listed(run, own_engine, stand_in):
    stand_in("tensorrt-rtx")
    done = build(run, own_engine, "--batch", "1,8")
    assert done.exit_code == 0, done.output
    assert f"written: {own_engine}/plans/tensorrt-rtx" in done.stdout
    assert done.stderr.splitlines() == [f"building {g}" for g in ("backbone", "decoder", "policy")]
    page = run("inspect", own_engine).stdout
    (line,) = (line for line in page.splitlines() if line.startswith("tensorrt-rtx"))
    assert line.split()[1:7] == ["1.7.1", "portable", "float32", "1", "8", "6"]
    assert line.endswith("current")


def test_the_same_as_json(run, own_engine, stand_in):
    stand_in("tensorrt-rtx")
    build(run, own_engine, "--batch", "4")
    (plans,) = json.loads(run("inspect", own_engine, "--json").stdout)["plans"]
    assert plans["faults"] == []
    assert plans["record"]["batches"] == [4]
    assert plans["bytes"] > 1000


def test_an_engine_without_plans(run, tiny_engine):
    assert json.loads(run("inspect", tiny_engine, "--json").stdout)["plans"] == []


def stale(run, engine):
    (plans,) = json.loads(run("inspect", engine, "--json").stdout)["plans"]
    return plans["faults"]


def test_a_new_graph_makes_plans_stale(run, own_engine, stand_in):
    stand_in("tensorrt-rtx")
    build(run, own_engine)
    path = own_engine / "decoder.onnx"
    path.write_bytes(path.read_bytes() + b"\x32\x01x")
    refresh_hashes(own_engine)
    assert stale(run, own_engine) == ["decoder.onnx is not what the plan of decoder was built from"]
    assert "stale: decoder.onnx is not" in run("inspect", own_engine).stdout


def test_a_new_version_makes_plans_stale(run, own_engine, stand_in):
    stand_in("tensorrt-rtx", "1.2.0")
    build(run, own_engine)
    stand_in("tensorrt-rtx")
    assert stale(run, own_engine) == ["built by tensorrt-rtx 1.2.0, and 1.7.1 is installed"]


@pytest.mark.parametrize(
    ("capability", "fault"), [("9.0", "got a GPU of compute capability 9.0"), ("8.6", None)]
)
def test_a_gpu_may_make_plans_stale(run, own_engine, stand_in, monkeypatch, capability, fault):
    stand_in("tensorrt-rtx")
    build(run, own_engine)
    monkeypatch.setattr("adagen_rt.cli.support.plans.compute_capability", lambda: capability)
    faults = stale(run, own_engine)
    assert fault in faults[0] if fault else faults == []


def test_a_missing_module_is_told(run, own_engine, stand_in, monkeypatch):
    stand_in("tensorrt-rtx")
    build(run, own_engine)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    assert "tensorrt_rtx is not installed" in stale(run, own_engine)[0]


def test_damaged_plans_are_told(run, own_engine, stand_in):
    stand_in("tensorrt-rtx")
    build(run, own_engine)
    folder = own_engine / "plans" / "tensorrt-rtx"
    os.truncate(folder / "policy.plan", 5)
    (folder / "decoder.plan").unlink()
    assert stale(run, own_engine) == [
        "decoder.plan is not a regular file in the folder",
        "policy.plan was altered or cut short",
    ]
    (folder / "record.json").write_text("{")
    assert "not valid JSON" in run("inspect", own_engine).stdout


@pytest.mark.parametrize("batch", ["", "1,x", "1,,2", "1.5"])
def test_batches_that_are_no_numbers_are_refused(refuse, tiny_engine, batch):
    message = refuse("build", tiny_engine, "--backend", "tensorrt", "--batch", batch)
    assert f"batch: got '{batch}', expected numbers separated by commas" in message


def test_a_missing_module_names_the_extra(refuse, tiny_engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    message = refuse("build", tiny_engine, "--backend", "tensorrt")
    assert "pip install 'adagen-rt[tensorrt]'" in message


def test_a_machine_without_a_gpu_is_told(refuse, tiny_engine, stand_in, monkeypatch):
    stand_in("tensorrt")
    monkeypatch.setattr("adagen_rt.backends.gpu.DRIVER", "libnothing.so.1")
    assert "no NVIDIA GPU" in refuse("build", tiny_engine, "--backend", "tensorrt")


@pytest.mark.parametrize("where", ["cache", "out"])
def test_plans_elsewhere_are_listed(run, own_engine, stand_in, monkeypatch, tmp_path, where):
    stand_in("tensorrt-rtx")
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path / "cache"))
    # The last one last, as the others bind its function when they are first imported.
    for place in ("cli.list", "cli.support.checkup", "engine.folder"):
        name = f"adagen_rt.{place}.shipped_engines"
        monkeypatch.setattr(name, lambda: {"tiny": own_engine})
    options = ("--out", tmp_path / "plans") if where == "out" else ()
    assert build(run, own_engine, "--batch", "1", *options).exit_code == 0
    assert not (own_engine / "plans").exists()
    named = ("--plans", tmp_path / "plans") if where == "out" else ()
    (plans,) = json.loads(run("inspect", own_engine, *named, "--json").stdout)["plans"]
    assert plans["faults"] == []
    assert plans["path"].startswith(str(tmp_path / ("plans" if where == "out" else "cache")))
    if where == "cache":
        (engine,) = json.loads(run("list", "--json").stdout)["engines"]
        assert engine["plans"][0]["path"] == plans["path"]
        assert "plans of tiny  tensorrt-rtx (current)" in run("doctor").stdout


def test_generate_takes_plans_from_a_folder(run, refuse, own_engine, monkeypatch, tmp_path):
    running_tensorrt.install(monkeypatch)
    out, common = tmp_path / "plans", ("--engine", own_engine, "--count", 1, "--seed", 1)
    run("build", own_engine, "--backend", "tensorrt", "--batch", "1", "--out", out)
    common = (*common, "--backend", "tensorrt", "--out", tmp_path / "a.npz")
    assert "there is no such file" in refuse("generate", *common)
    done = run("generate", *common, "--plans", out)
    assert done.exit_code == 0, done.output
