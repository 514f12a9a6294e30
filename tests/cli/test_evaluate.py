"""`adagen-rt evaluate` and `adagen-rt train schedule`, one after the other, and their faults."""

import json

import pytest
import running_tensorrt
import yaml

torch = pytest.importorskip("torch")

from adagen_rt.export.recipe import load_recipe


@pytest.fixture(scope="module")
def searched(run, data, saved_model, tmp_path_factory):
    """A tiny generator whose static schedule was searched."""
    recipe, weights = saved_model
    paths = ("--engine-recipe", recipe, "--weights", weights, "--data", data)
    folder = tmp_path_factory.mktemp("searched")
    quick = ("--candidates", 3, "--images", 10, "--out", folder)
    done = run("train", "schedule", *paths, *quick)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def engine(run, searched, tmp_path_factory):
    """An engine of it; its guidance is another, whoever won the search."""
    folder = tmp_path_factory.mktemp("engine")
    content = yaml.safe_load((searched / "recipe.yaml").read_text())
    content["schedule"]["tuned"][1]["value"] = 3.5
    (folder / "recipe.yaml").write_text(yaml.safe_dump(content))
    done = run("export", folder / "recipe.yaml", "--weights", searched, "--out", folder / "e")
    assert done.exit_code == 0, done.output
    return folder / "e"


def test_a_search_leaves_a_recipe_with_its_winner(searched, saved_model):
    found = load_recipe(searched / "recipe.yaml")
    assert found.schedule.tuned is not None
    assert found.schedule.actions == load_recipe(saved_model[0]).schedule.actions
    assert len((searched / "search.csv").read_text().splitlines()) == 4


def test_every_schedule_of_an_engine_is_scored(run, engine, data):
    arguments = ("evaluate", engine, "--data", data, "--samples", 10)
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert set(content["scores"]) == {"static", "tuned", "policy"}
    assert content["scores"]["static"]["count"] == 10
    assert "20 real images" in content["judge"]
    made = content["scores"]["tuned"]["evaluations"]
    assert made == content["steps"]
    page = run(*arguments, "--schedule", "tuned").stdout
    assert "tuned" in page
    assert page.splitlines()[-1].split()[1] == f"{made:.3g}"
    assert "static" not in page
    assert f"{content['scores']['tuned']['fid']:.3f}" in page


def test_evaluations_that_were_left_out_are_told(run, engine, data):
    asked = ("--schedule", "static", "--steps", 8, "--reuse", 1.0, "--json")
    content = json.loads(run("evaluate", engine, "--data", data, "--samples", 10, *asked).stdout)
    assert content["reuse"] == 1.0
    assert 2 <= content["scores"]["static"]["evaluations"] < 8


def test_a_policy_without_the_sample_is_scored_beside_it(run, engine, data, refuse):
    arguments = ("evaluate", engine, "--data", data, "--samples", 20)
    asked = ("--schedule", "class-mean", "--schedule", "mean", "--bootstrap", 3)
    content = json.loads(run(*arguments, *asked, "--json").stdout)
    assert list(content["scores"]) == ["policy", "class-mean", "mean"]
    low, high = content["scores"]["mean"]["over_policy"]
    assert 0 < low <= high
    assert "over_policy" not in content["scores"]["policy"]
    assert "over the policy's" in run(*arguments, *asked).stdout
    told = refuse(*arguments, "--schedule", "static", "--bootstrap", 3)
    assert "the policy among the schedules" in told


def test_sampling_options_are_told_and_used(run, engine, data):
    arguments = ("evaluate", engine, "--data", data, "--samples", 10, "--schedule", "static")
    plain, other = (
        json.loads(run(*arguments, "--json", "--steps", steps).stdout) for steps in (4, 2)
    )
    assert (plain["steps"], other["steps"]) == (4, 2)
    assert plain["scores"]["static"] != other["scores"]["static"]


@pytest.mark.parametrize("backend", ["openvino", "tensorrt"])
def test_another_backend_makes_the_images(run, engine, data, monkeypatch, tmp_path, backend):
    if backend == "openvino":
        pytest.importorskip("openvino")
    common = ("evaluate", engine, "--data", data, "--samples", 10, "--schedule", "policy", "--json")
    chosen = ("--backend", backend)
    if backend == "tensorrt":
        running_tensorrt.install(monkeypatch)
        plans = tmp_path / "plans"
        built = run("build", engine, "--backend", backend, "--batch", 8, "--out", plans)
        assert built.exit_code == 0, built.output
        chosen = (*chosen, "--plans", plans)
    usual, other = (json.loads(run(*common, *more).stdout) for more in ((), chosen))
    assert (usual["backend"], other["backend"]) == ("onnxruntime", backend)
    expected = usual["scores"]["policy"]["fid"]
    assert other["scores"]["policy"]["fid"] == pytest.approx(expected, rel=1e-2)


def test_images_under_the_tuned_schedule(run, engine, refuse, tmp_path):
    traces = {}
    for flag in ("--static", "--tuned"):
        trace = tmp_path / f"{flag[2:]}.json"
        arguments = ("generate", "--engine", engine, "--count", 1, "--seed", 0)
        done = run(*arguments, flag, "--out", tmp_path / "a.png", "--trace", trace)
        assert done.exit_code == 0, done.output
        traces[flag] = json.loads(trace.read_text())["samples"][0]["actions"]
    assert traces["--static"]["guidance_scale"] == [1.5] * 5
    assert traces["--tuned"]["guidance_scale"] == [3.5] * 5
    assert "--tuned" in refuse("generate", "--engine", engine, "--static", "--tuned")


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("--samples", 3), "samples: got 3"),
        (("--seed", -1), "seed: got -1"),
        (("--data", "/nowhere"), "--data"),
        (("--steps", 5), "steps: got 5"),
        (("--steps", 0), "steps: got 0"),
        (("--refine", 65), "refine: got 65"),
        (("--refine", 2), "refine needs the graph 'critic'"),
        (("--refine", 2, "--schedule", "static"), "refine: got 2, expected 1 with a static"),
        (("--fidelity", 2), "fidelity: got 2.0"),
        (("--best-of", 2), "best_of needs the graph 'reward'"),
        (("--schedule", "best"), "--schedule"),
        (("--provider", "foo"), "provider: got 'foo'"),
        (("--device", "foo"), "--device: got 'foo'"),
        (("--backend", "openvino", "--plans", "here"), "plans: got 'here'"),
    ],
)
def test_faults_are_one_line(refuse, engine, data, extra, named):
    assert named in refuse("evaluate", engine, "--data", data, *extra)


def test_an_engine_without_a_tuned_schedule_says_so(refuse, tiny_engine, tmp_path):
    out = tmp_path / "a.png"
    arguments = ("generate", "--engine", tiny_engine, "--tuned", "--out", out, "--count", 1)
    assert "expected an engine whose static schedule was searched" in refuse(*arguments)
    assert not out.exists()
