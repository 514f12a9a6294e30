"""The tables of `quality.py`, of tiny engines in the eyes of a judge that sees brightness only."""

import json
import shutil
from statistics import mean

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from click.testing import CliRunner
from tiny_engine import STEPS, Options, build_tiny_engine
from tiny_recipes import judged_recipe, tiny_networks

from adagen_rt.evaluation.judge import Score, Seen
from adagen_rt.evaluation.metrics import Gaussian
from adagen_rt.evaluation.sources import SourceOpener
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request
from adagen_rt.training.checkpoint import save_weights

COUNT = 12
REFINED = (1 + 2 * (STEPS - 1)) / STEPS


class TinyJudge:
    """Counts what it is asked, and says how bright images are."""

    def __init__(self):
        self.sets = self.looks = 0

    def describe(self):
        return "brightness"

    @property
    def reference(self):
        return Gaussian.of(np.random.default_rng(0).random((50, 2)))

    def look(self, result):
        self.looks += 1
        unit = result.images.reshape(len(result), -1) / 255
        features = np.stack([unit.mean(axis=1), unit.std(axis=1)], axis=1).astype(np.float32)
        return Seen(features, None, None)

    def score(self, seen):
        self.sets += 1
        assert len(seen.features) == COUNT
        bright = seen.features[:, 0].mean().item()
        return Score(COUNT, bright, 2 * bright, 0.5, 0.25, 1.0)


@pytest.fixture
def judge(monkeypatch):
    """The judge that the benchmark finds; it looks at images of any size."""
    import quality

    made = TinyJudge()
    monkeypatch.setattr(quality, "load_judge", lambda data, device: made)
    monkeypatch.setattr(quality, "check_judged", lambda field, image: None)
    return made


@pytest.fixture
def score(judge, judged_engine):
    """Returns a function from arguments to the report's JSON."""
    import quality

    def invoke(*arguments, engines=(judged_engine,)):
        given = ["--data", "nowhere", "--engines", ",".join(map(str, engines))]
        given += ["--count", COUNT, "--threads", 1, "--batch-size", 5, *arguments]
        done = CliRunner().invoke(quality.main, [str(part) for part in given])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout.splitlines()[-1])

    return invoke


def lines(report):
    """What distinguishes the rows."""
    return [(row["table"], row["kind"], row["value"]) for row in report["results"]]


def test_schedules_are_the_default(score, tmp_path):
    other = build_tiny_engine(tmp_path / "other", Options(policy=False, seed=1), name="other")
    report = score("--seeds", "0", engines=(other,))
    assert report["benchmark"] == "quality"
    assert report["judge"] == "brightness"
    assert lines(report) == [("schedules", "static", steps * STEPS) for steps in (1, 2, 3)]
    assert [row["engine"] for row in report["results"]] == ["other"] * 3
    assert [row["cost"] for row in report["results"][:2]] == [1, 2]


def test_refinement_and_its_cost_in_counted_rows(score):
    report = score("--refine", "--seeds", "0")
    kinds = [("policy", 1), ("refine", 2), ("refine", 4), *(("best-of", n) for n in (2, 4, 8))]
    assert lines(report) == [("refine", *kind) for kind in kinds]
    costs = {key: row["cost"] for key, row in zip(kinds, report["results"], strict=True)}
    assert costs["refine", 2] == pytest.approx(REFINED, rel=1e-3)
    assert [costs["best-of", n] for n in (2, 4, 8)] == [2, 4, 8]
    bright = {key: row["fid"] for key, row in zip(kinds, report["results"], strict=True)}
    # The tiny engine's reward is brightness.
    assert bright["policy", 1] < bright["best-of", 2] < bright["best-of", 8]


def test_fidelity_beside_guidance(score, judge):
    report = score("--fidelity", "--seeds", "0")
    shares, factors = (0.0, 0.25, 0.5, 0.75, 1.0), (1.0, 1.5, 2.0, 3.0, 4.0)
    expected = [("fidelity", "fidelity", share) for share in shares]
    expected += [("fidelity", "static guidance", factor) for factor in factors]
    assert lines(report) == expected
    assert len({row["fid"] for row in report["results"]}) > 8
    assert all(row["cost"] == pytest.approx(1, abs=0.1) for row in report["results"])


def test_the_worth_of_the_sample(score, judge, tmp_path):
    keep = tmp_path / "rows.jsonl"
    report = score("--worth", "--seeds", "0,1", "--keep", keep)
    assert judge.looks == judge.sets == 2 * 4  # a look a set, so none is made twice
    kinds = ("policy", "mean", "class-mean", "shuffled")
    assert lines(report) == [("worth", kind, 1) for kind in kinds]
    assert len({row["fid"] for row in report["results"]}) > 1
    policy, *baselines = report["results"]
    assert (policy["low"], policy["high"]) == (None, None)
    assert all(0 < row["low"] < row["high"] for row in baselines)
    assert score("--worth", "--seeds", "0,1", "--keep", keep)["results"] == report["results"]


def test_scores_are_means_over_the_seeds(score, tmp_path):
    keep = tmp_path / "rows.jsonl"
    report = score("--fidelity", "--seeds", "3,4", "--keep", keep)
    kept = [json.loads(line) for line in keep.read_text().splitlines()]
    first = [row for row in kept if row["schedule"] == "policy" and row["fidelity"] == 0]
    assert [row["seed"] for row in first] == [3, 4]
    assert first[0]["fid"] != first[1]["fid"]
    row = report["results"][0]
    assert (row["seeds"], row["images"]) == (2, COUNT)
    assert row["fid"] == pytest.approx(mean(row["fid"] for row in first), rel=1e-3)
    assert row["kid"] == pytest.approx(2 * row["fid"], rel=1e-3)


def test_a_rerun_measures_what_is_missing(score, judge, tmp_path):
    keep = tmp_path / "new" / "rows.jsonl"
    arguments = ("--refine", "--seeds", "0", "--keep", keep)
    whole = score(*arguments)
    assert judge.sets == 6
    text = keep.read_text()
    first, second, *_ = text.splitlines()
    keep.write_text(f"{first}\n{second[:-9]}")  # killed in the middle of the second
    assert score(*arguments)["results"] == whole["results"]
    assert judge.sets == 6 + 5
    assert score(*arguments)["results"] == whole["results"]
    assert judge.sets == 6 + 5


def test_tables_share_the_rows_that_they_have_in_common(score, judge):
    report = score("--schedules", "--refine", "--fidelity", "--seeds", "0")
    assert len(report["results"]) == 4 + 6 + 10
    # The policy alone is in all three, the hand-made schedule in two.
    assert judge.sets == 20 - 3


@pytest.mark.parametrize(
    ("change", "again"),
    [(("--seeds", "1"), 6), (("--std", "0.3"), 2), (("--std", "0.7"), 0)],
)
def test_a_row_made_otherwise_is_another(score, judge, tmp_path, change, again):
    arguments = ("--refine", "--seeds", "0", "--keep", tmp_path / "rows.jsonl")
    score(*arguments)
    score(*arguments, *change)
    assert judge.sets == 6 + again


def test_plots_and_pictures(score, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    score("--schedules", "--refine", "--fidelity", "--seeds", "0", "--plot", tmp_path / "plots")
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    pictures = {"tiny-fidelity-0.png", "tiny-fidelity-1.png"}
    assert names == {"schedules.png", "refine.png", "fidelity.png"} | pictures
    for path in (tmp_path / "plots").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")


def test_networks_of_trainings(tmp_path):
    recipe = judged_recipe("maskgit")
    for name in ("one", "one-fidelity"):
        made = tiny_networks(recipe)
        parts = {"backbone": made.backbone, "decoder": made.decoder, **made.optional()}
        for part, network in parts.items():
            save_weights(network.state_dict(), tmp_path / name / f"{part}.safetensors")
        content = recipe.model_dump(mode="json", exclude_none=True)
        (tmp_path / name / "recipe.yaml").write_text(json.dumps(content))
    source = SourceOpener(tmp_path, std=0.3).open("engines/one")
    assert source.manifest.refinement_std == 0.3
    params = SamplingParams(refine=2, fidelity=0.5)
    made = source.run(make_request(source.manifest, [0, 1], [0, 1], params))
    assert (len(made), made.failures) == (2, {})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--count", "9"), "--count"),
        (("--seeds", "0,-1"), "seeds: got '0,-1'"),
        (("--seeds", ""), "seeds: got ''"),
        (("--seeds", "1000001"), "seeds: got 1000001"),
        (("--more", "2,x"), "more: got '2,x'"),
        (("--more", "0"), "more: got 0"),
        (("--threads", "0"), "threads: got 0"),
        (("--std", "0"), "--std"),
        (("--keep", "."), "keep: got '.'"),
        (("--engines", "hat"), "hat"),
        (("--runs", "runs"), "runs: got 'runs/fashion-maskgit'"),
    ],
)
def test_bad_input_is_refused_before_the_judge_is_loaded(
    arguments, named, judge, monkeypatch, tmp_path
):
    import quality

    monkeypatch.setattr(quality, "load_judge", lambda *_: pytest.fail("it was"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(quality.main, ["--data", "nowhere", *arguments])
    assert done.exit_code == 2
    assert named in done.stderr


def test_an_engine_of_other_images_is_refused(tiny_engine):
    import quality

    given = ["--data", "nowhere", "--engines", str(tiny_engine)]
    done = CliRunner().invoke(quality.main, given)
    assert done.exit_code == 2
    assert "images of 4 x 4" in done.stderr


def test_a_twin_of_other_weights_has_rows_of_its_own(score, judge, judged_engine, tmp_path):
    """Its name is the same."""
    twin = tmp_path / "twin"
    shutil.copytree(judged_engine, twin)
    manifest = json.loads((twin / "manifest.json").read_text())
    manifest["dtype"] = "int8"
    (twin / "manifest.json").write_text(json.dumps(manifest))
    kept = ("--schedules", "--more", "", "--seeds", "0", "--keep", tmp_path / "rows.jsonl")
    first = score(*kept)
    both = score(*kept, engines=(judged_engine, twin))
    names = list(dict.fromkeys(row["engine"] for row in both["results"]))
    assert names == [first["results"][0]["engine"], f"{names[0]} int8"]
    assert judge.sets == len(both["results"])
