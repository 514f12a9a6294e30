"""`--backend` and `--provider` of the commands that generate."""

import json

import numpy as np
import pytest
import running_tensorrt

from adagen_rt.backends.tensorrt.build import build_plans
from adagen_rt.engine.folder import open_engine

COMMON = ("--seed", 5, "--count", 3)


@pytest.fixture
def planned(own_engine, monkeypatch):
    """An engine with plans that the host can run."""
    running_tensorrt.install(monkeypatch)
    build_plans(open_engine(own_engine), "tensorrt", batches=(1, 2))
    return own_engine


def read(path):
    with np.load(path) as arrays:
        return dict(arrays)


def test_generate_runs_the_plans(run, planned, tmp_path):
    made = {}
    for backend in ("onnxruntime", "tensorrt"):
        path, trace = tmp_path / f"{backend}.npz", tmp_path / f"{backend}.json"
        chosen = ("--backend", backend, "--out", path, "--trace", trace, "--json")
        done = run("generate", "--engine", planned, *COMMON, *chosen)
        assert done.exit_code == 0, done.output
        made[backend] = read(path), json.loads(trace.read_text())["samples"]
    seconds = json.loads(done.stdout)["seconds"]
    assert set(seconds) == {"total", "capture", "device"}
    expected, got = made["onnxruntime"], made["tensorrt"]
    for name, array in expected[0].items():
        np.testing.assert_array_equal(got[0][name], array)
    for one, other in zip(got[1], expected[1], strict=True):
        for name, values in other["actions"].items():
            np.testing.assert_allclose(
                np.array(one["actions"][name], float), np.array(values, float), rtol=1e-4
            )


def test_bench_times_the_plans(run, planned):
    done = run(
        "bench", planned, "--backend", "tensorrt", "--batch", "1,3", "--repeats", 2, "--json"
    )
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["backend"], facts["plans"]) == ("tensorrt", "1 2")
    assert "threads" not in facts
    assert [result["batch"] for result in facts["results"]] == [1, 3]
    assert all(result["p50_ms"] > 0 for result in facts["results"])


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        ("generate", ("--preview", "a.png"), "preview: got 'tensorrt', expected the backend onn"),
        ("generate", ("--threads", 1), "threads: got 1, expected none with the backend tensorrt"),
        ("generate", ("--provider", "cuda"), "provider: got 'cuda', expected none with"),
        ("bench", ("--profile",), "profile: got 'tensorrt', expected the backend onnxruntime or"),
        ("bench", ("--threads", 1), "threads: got 1, expected none with the backend tensorrt"),
    ],
)
def test_what_plans_do_not_support_is_refused(refuse, planned, command, arguments, named):
    engine = (planned,) if command == "bench" else ("--engine", planned)
    assert named in refuse(command, *engine, "--backend", "tensorrt", *arguments)


def test_without_plans_it_says_what_to_type(refuse, own_engine, monkeypatch):
    running_tensorrt.install(monkeypatch)
    said = refuse("generate", "--engine", own_engine, "--backend", "tensorrt")
    assert f"adagen-rt build {own_engine} --backend tensorrt" in said


@pytest.mark.parametrize("command", ["generate", "bench"])
def test_a_provider_that_is_not_there_names_the_extra(refuse, tiny_engine, monkeypatch, command):
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    engine = (tiny_engine,) if command == "bench" else ("--engine", tiny_engine)
    assert "adagen-rt[cuda]" in refuse(command, *engine, "--provider", "cuda")


def test_the_cpu_is_a_provider(run, tiny_engine):
    done = run("bench", tiny_engine, "--provider", "cpu", "--batch", 1, "--repeats", 1, "--json")
    assert json.loads(done.stdout)["provider"] == "cpu"
