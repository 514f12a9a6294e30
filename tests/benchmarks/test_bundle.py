"""The benchmark of whole generations in one model runs both sides."""

import json

import pytest

pytest.importorskip("onnx_ir", reason="needs the extra bundle")

from click.testing import CliRunner


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


def test_bad_input_is_refused():
    import bundle

    assert CliRunner().invoke(bundle.main, ["--batch", "1,x"]).exit_code == 2
    assert CliRunner().invoke(bundle.main, ["--full-size", "dit-xl-2"]).exit_code == 2
