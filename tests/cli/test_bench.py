import json

import numpy as np
import pytest
from PIL import Image
from tiny_engine import STEPS, Options, build_tiny_engine

from adagen_rt.evaluation.latency import HOST, PARTS, Measurement, Plan, measure
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams

QUICK = ("--repeats", 3, "--threads", 1)


@pytest.fixture
def bench(run, tiny_engine):
    """Returns a function that runs the command and gives its output."""

    def invoke(*arguments):
        done = run("bench", tiny_engine, *QUICK, *arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--batch", "1,two"), "batch: got '1,two'"),
        (("--batch", "2,2"), "batch"),
        (("--batch", ""), "batch"),
        (("--batch", "0"), "batch: got 0"),
        (("--batch", "5000"), "batch: got 5000"),
        (("--steps", 0), "steps: got 0"),
        (("--repeats", 0), "repeats: got 0"),
        (("--threads", 0), "threads: got 0"),
        (("--plot", "."), "plot"),
    ],
)
def test_bad_input_is_one_line(refuse, tiny_engine, arguments, named):
    assert named in refuse("bench", tiny_engine, *arguments)


def test_an_engine_that_is_not_there(refuse, tmp_path):
    assert "nowhere" in refuse("bench", tmp_path / "nowhere")


def test_a_sample_that_fails_is_no_measurement(refuse, tmp_path):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    assert "label 1, seed 1: met a non-finite number" in refuse("bench", engine, "--batch", 2)


def test_figures_as_json(bench):
    facts = json.loads(bench("--json", "--batch", "3,1", "--steps", 2, "--static", "--profile"))
    assert (facts["engine"], facts["schedule"], facts["steps"]) == ("tiny", "static", 2)
    assert (facts["threads"], facts["repeats"]) == (1, 3)
    assert {"load_before", "load_after", "cores"} <= facts.keys()
    assert [result["batch"] for result in facts["results"]] == [3, 1]
    for result in facts["results"]:
        assert 0 < result["p50_ms"] <= result["p90_ms"] <= result["p99_ms"]
        assert list(result["profile_ms"]) == [*PARTS, HOST]
        assert {len(column) for column in result["profile_ms"].values()} == {3}


def test_a_table_and_a_profile_for_people(bench):
    page = bench("--batch", "1,2", "--profile")
    assert "threads 1" in page
    assert "images/s" in page
    assert page.count("\nshare") == 2


def test_without_asking_there_is_no_profile(bench):
    assert "share" not in bench("--batch", "1")
    assert "profile_ms" not in json.loads(bench("--batch", "1", "--json"))["results"][0]


def test_the_plot_is_a_picture(bench, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    path = tmp_path / "latency.png"
    assert f"written: {path}" in bench("--batch", "1,2", "--plot", path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"


def test_percentiles_and_throughput_of_known_times():
    seconds = np.arange(1, 102, dtype=np.float64)
    known = Measurement(4, seconds, np.zeros((1, len(PARTS) + 1)))
    assert known.percentiles == (51, 91, 100)
    assert known.images_per_second == pytest.approx(4 / 51)


def test_a_profile_adds_up_and_puts_parts_where_they_happen(tiny_engine):
    steps, pipeline = [], load(tiny_engine, threads=1)
    params = SamplingParams(steps=STEPS).check(pipeline.manifest)
    measured = measure(pipeline, 2, Plan(params, 1, 3), steps.append)
    assert measured.profile.sum() == pytest.approx(measured.seconds.mean())
    assert len(measured.seconds) == 3
    by_part = dict(zip((*PARTS, HOST), measured.profile.T, strict=True))
    assert (by_part["backbone"][0], by_part["policy"][0]) > (0, 0)
    assert by_part["backbone"][-1] == 0
    assert not by_part["decoder"][:-1].any()
    assert by_part["decoder"][-1] > 0
    assert sum(step.number == 1 for step in steps) == 4


def test_every_sampling_option_is_timed(run, judged_engine):
    options = ("--steps", 3, "--refine", 2, "--best-of", 2, "--fidelity", 0.5)
    done = run("bench", judged_engine, *QUICK, "--batch", "2", *options, "--profile", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["schedule"], facts["steps"]) == ("policy", 3)
    assert (facts["refine"], facts["best_of"], facts["fidelity"]) == (2, 2, 0.5)
    (result,) = facts["results"]
    assert {len(column) for column in result["profile_ms"].values()} == {4}


def test_candidates_are_added_up_in_a_profile(judged_pipeline):
    params = SamplingParams(best_of=3).check(judged_pipeline.manifest)
    measured = measure(judged_pipeline, 2, Plan(params, 0, 2), lambda step: None)
    assert measured.profile.shape == (STEPS + 1, len(PARTS) + 1)
    assert measured.profile.sum() == pytest.approx(measured.seconds.mean())


@pytest.mark.parametrize("flags", [("--static",), ("--schedule", "static")])
def test_a_schedule_by_its_name_and_in_short(bench, flags):
    assert json.loads(bench("--batch", "1", "--json", *flags))["schedule"] == "static"


def test_an_engine_without_a_policy_runs_its_static_schedule(run, static_engine):
    done = run("bench", static_engine, *QUICK, "--batch", "1", "--json")
    assert json.loads(done.stdout)["schedule"] == "static"
