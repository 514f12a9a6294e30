"""The benchmark of whole generations in one model runs both sides."""

import json

import pytest

pytest.importorskip("onnx_ir", reason="needs the extra bundle")

from pathlib import Path

from click.testing import CliRunner

from adagen_rt.engine.folder import open_engine

ROOT = Path(__file__).parents[2]


def test_it_times_both_sides(prompt_engine):
    import bundle

    arguments = ("--batch", "1,2", "--threads", "1", "--repeats", "2")
    done = CliRunner().invoke(bundle.main, [str(prompt_engine()), *arguments])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.splitlines()[-1])
    assert [row["batch"] for row in report["results"]] == [1, 2]
    for row in report["results"]:
        assert row["ratio"] == pytest.approx(row["bundle s"] / row["pipeline s"], rel=1e-2)
        assert row["bundle GB"] > 0


def test_what_is_there_is_not_measured_again(prompt_engine, tmp_path, monkeypatch):
    import bundle

    monkeypatch.setattr(bundle, "measured", lambda *arguments: pytest.fail("it is written again"))
    name = open_engine(prompt_engine()).manifest.name
    row = dict.fromkeys(bundle.HEAD, 1.0) | {"engine": name, "threads": 1, "batch": 2}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    arguments = ("--batch", "2", "--threads", "1", "--results", str(tmp_path / "rows.jsonl"))
    done = CliRunner().invoke(bundle.main, [str(prompt_engine()), *arguments])
    assert done.exit_code == 0, done.output
    assert [row["batch"] for row in json.loads(done.stdout.splitlines()[-1])["results"]] == [2]


@pytest.mark.slow
def test_published_networks_are_exported_once(tmp_path, monkeypatch):
    """The command for all of them, on narrow ones, which do not lie in memory together."""
    pytest.importorskip("torch")
    import bundle

    monkeypatch.setattr(bundle, "FOLDER", tmp_path)
    monkeypatch.setattr(bundle, "RECIPES", ("tiny-one", "tiny-two"))
    monkeypatch.setattr(bundle.os, "sysconf", lambda name: 1)
    for recipe, name in zip(bundle.RECIPES, ("maskgit", "var"), strict=True):
        text = (ROOT / "export" / f"fashion-{name}.yaml").read_text("utf-8")
        (tmp_path / f"{recipe}.yaml").write_text(text.replace(f"fashion-{name}", recipe))
    arguments = ["--full-size", "all", "--out", str(tmp_path), "--batch", "1", "--threads", "1"]
    arguments += ["--repeats", "2", "--results", str(tmp_path / "rows.jsonl")]
    for _ in range(2):
        done = CliRunner().invoke(bundle.main, arguments)
        assert done.exit_code == 0, done.output
        lines = (tmp_path / "rows.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert [row["engine"] for row in rows] == list(bundle.RECIPES)
        assert not any(row["in turns"] for row in rows)
        assert all(row["peak/weights"] > 1 for row in rows)


def test_bad_input_is_refused():
    import bundle

    assert CliRunner().invoke(bundle.main, ["--batch", "1,x"]).exit_code == 2
    assert CliRunner().invoke(bundle.main, ["--full-size", "dit-xl-2"]).exit_code == 2
