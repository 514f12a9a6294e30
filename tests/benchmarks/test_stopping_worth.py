"""The table of `stopping_worth.py`, to a judge that sees brightness only."""

import json

import pytest

pytest.importorskip("torch")

from click.testing import CliRunner
from once import engine_once
from stopping import STEPS, stopping_recipe
from tiny_recipes import tiny_recipe

from adagen_rt.evaluation.judge import Score
from adagen_rt.export import export_engine


class Brightness:
    """Scores nothing but how bright images are."""

    def describe(self):
        return "brightness"

    def look(self, result):
        return result.images

    def score(self, seen):
        return Score(len(seen), seen.mean().item(), 0.0, 0.0, 0.0, None)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    def export(recipe):
        return lambda out: export_engine(recipe, out, seeded="tiny")

    recipes = {"stopping-sit": stopping_recipe("sit"), "plain-sit": tiny_recipe("sit")}
    return [engine_once(tmp_path_factory, n, export(r)).path for n, r in recipes.items()]


def test_lines_make_as_many_evaluations_as_they_say(engines, tmp_path, monkeypatch):
    import stopping_worth

    monkeypatch.setattr(stopping_worth, "load_judge", lambda data: Brightness())
    monkeypatch.setattr(stopping_worth, "IMAGES", 4)
    options = ("--data", str(tmp_path), "--count", "60", "--seeds", "3", "--throughput", "--json")
    done = CliRunner().invoke(stopping_worth.main, [*map(str, engines), *options])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    rows = {row["line"]: row for row in report["results"]}
    assert list(rows) == ["fixed 4", "fixed 2", "stopping", "by class", "shuffled"]
    assert rows["fixed 4"]["evaluations"] == 4
    assert 1 < rows["stopping"]["evaluations"] < STEPS
    for name in ("by class", "shuffled"):
        assert rows[name]["evaluations"] == pytest.approx(rows["stopping"]["evaluations"])
        assert rows[name]["fid"] != rows["stopping"]["fid"]
    assert report["throughput, stopping over fixed"] > 0


def test_an_engine_that_cannot_stop_is_refused(engines, tmp_path):
    import stopping_worth

    given = [str(engines[1]), str(engines[1]), "--data", str(tmp_path)]
    done = CliRunner().invoke(stopping_worth.main, given)
    assert "expected an engine whose policy may stop" in str(done.exception)


def test_evaluations_that_another_sample_leaves_out_are_as_many(tmp_path, monkeypatch):
    import reuse
    import stopping_worth

    monkeypatch.setattr(reuse, "load_judge", lambda data: Brightness())
    monkeypatch.setattr(stopping_worth, "IMAGES", 4)
    given = ["fashion-dit", "--data", str(tmp_path), "--thresholds", "0.03", "--json"]
    done = CliRunner().invoke(reuse.main, [*given, "--count", "20", "--seeds", "1"])
    assert done.exit_code == 0, done.output
    rows = {row["line"]: row for row in json.loads(done.stdout.splitlines()[-1])["results"]}
    assert list(rows) == ["fixed 8", "fixed 6", "reuse 0.03", "shuffled 0.03"]
    made = [rows[line]["evaluations"] for line in rows]
    assert made[:2] == [8, 6]
    assert made[2] == made[3] < 8
    assert rows["reuse 0.03"]["fid"] != rows["shuffled 0.03"]["fid"]
    served = CliRunner().invoke(reuse.main, [*given, "--throughput"])
    assert [row["reuse"] for row in json.loads(served.stdout)["results"]] == [0.0, 0.03]
