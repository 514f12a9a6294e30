import json

import numpy as np
import pytest
from PIL import Image
from tiny_engine import CLASSES, SCHEDULE, SIDE, STEPS, Options, build_tiny_engine

import adagen_rt
from adagen_rt.cli.support.classes import expand_label
from adagen_rt.condition import ClassLabels


def read_arrays(path):
    with np.load(path) as arrays:
        return dict(arrays)


def read_picture(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def generate(run, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = run("generate", "--engine", tiny_engine, "--seed", 3, *arguments)
        assert done.exit_code == 0, done.output
        return done

    return invoke


def test_a_grid_is_nearly_square_and_has_every_image(generate, tiny_engine):
    generate("--count", 5)
    expected = adagen_rt.load(tiny_engine).generate([0, 1, 2, 0, 1], [3, 4, 5, 6, 7]).images
    grid = read_picture("out.png")
    assert grid.shape == (2 * SIDE, 3 * SIDE)
    np.testing.assert_array_equal(grid[:SIDE, :SIDE], expected[0, ..., 0])
    np.testing.assert_array_equal(grid[SIDE:, SIDE : 2 * SIDE], expected[4, ..., 0])
    assert not grid[SIDE:, 2 * SIDE :].any()


def test_a_folder_has_one_file_an_image(generate, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    generate("--count", 12, "--label", "t-bar", "--out", "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [*(f"{i:02}-label2-seed{3 + i}.png" for i in range(12)), "notes.txt"]


def test_arrays(generate, tiny_engine):
    generate("--count", 5, "--label", "0-1", "--label", "T-Bar", "--out", "a.npz")
    arrays = read_arrays("a.npz")
    assert set(arrays) == {"images", "labels", "seeds"}
    assert arrays["images"].shape == (5, SIDE, SIDE, 1)
    assert arrays["images"].dtype == np.uint8
    np.testing.assert_array_equal(arrays["labels"], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(arrays["seeds"], [3, 4, 5, 6, 7])


def test_missing_folders_are_made(generate, tmp_path):
    generate("--out", "new/deep/a.png", "--trace", "other/t.json")
    assert (tmp_path / "new/deep/a.png").is_file()
    assert (tmp_path / "other/t.json").is_file()


def test_batches_and_threads_do_not_change_images(generate):
    generate("--out", "a.npz")
    generate("--out", "b.npz", "--batch-size", 3, "--threads", 2)
    np.testing.assert_array_equal(read_arrays("a.npz")["images"], read_arrays("b.npz")["images"])


def test_the_summary_as_json(generate):
    summary = json.loads(generate("--count", 2, "--json", "--steps", 2).stdout)
    assert summary["engine"] == "tiny"
    assert summary["steps"] == 2
    assert summary["labels"] == [0, 1]
    assert summary["seeds"] == [3, 4]
    assert summary["failures"] == []
    assert summary["files"] == ["out.png"]
    assert summary["seconds"]["total"] >= summary["seconds"]["backbone"] > 0


def test_the_summary_in_words(generate):
    done = generate("--count", 2, "--trace", "t.json")
    assert "2 images in" in done.stdout
    assert "written: out.png, t.json" in done.stdout
    assert done.stderr == ""


def test_without_a_seed_every_run_differs(run, tiny_engine, tmp_path):
    arguments = ("generate", "--engine", tiny_engine, "--out", tmp_path / "a.npz", "--json")
    first, second = (json.loads(run(*arguments).stdout)["seeds"] for _ in range(2))
    assert first != second


def test_the_trace_has_every_decision(generate, tiny_engine, tmp_path):
    generate("--count", 2, "--trace", "t.json", "--static")
    trace = json.loads((tmp_path / "t.json").read_text())
    assert [sample["seed"] for sample in trace["samples"]] == [3, 4]
    for action in SCHEDULE.actions:
        values = trace["samples"][1]["actions"][action.name]
        np.testing.assert_allclose(values, action.static.values(STEPS, STEPS), rtol=1e-3)


@pytest.mark.parametrize("schedule", ["policy", "static"])
def test_a_schedule_by_its_name(generate, tiny_engine, tmp_path, schedule):
    generate("--count", 2, "--out", "a.npz", "--trace", "t.json", "--schedule", schedule)
    expected = adagen_rt.load(tiny_engine).generate([0, 1], [3, 4], schedule=schedule)
    np.testing.assert_array_equal(read_arrays("a.npz")["images"], expected.images)
    assert json.loads((tmp_path / "t.json").read_text())["schedule"] == schedule


def test_the_trace_has_null_for_steps_not_needed(generate, tmp_path):
    generate("--count", 1, "--trace", "t.json", "--static", "--steps", 60)
    trace = json.loads((tmp_path / "t.json").read_text())
    ratios = trace["samples"][0]["actions"]["mask_ratio"]
    assert len(ratios) == 60
    assert ratios[-1] is None


def test_the_preview_has_a_row_a_sample_and_a_column_a_step(generate):
    generate("--count", 11, "--batch-size", 10, "--preview", "p.png", "--out", "a.npz")
    grid = read_picture("p.png")
    assert grid.shape == (8 * SIDE, STEPS * SIDE)
    final = grid[:, -SIDE:].reshape(8, SIDE, SIDE)
    np.testing.assert_array_equal(final, read_arrays("a.npz")["images"][:8, ..., 0])


def test_the_plot_is_a_picture(generate):
    pytest.importorskip("matplotlib", reason="needs the extra plot")
    generate("--plot", "s.png", "--steps", 60)
    assert read_picture("s.png").ndim == 3


def test_what_was_tried_and_blended_is_told(run, judged_engine, tmp_path):
    trace, out = tmp_path / "t.json", tmp_path / "a.npz"
    choices = ("--refine", 2, "--best-of", 3, "--fidelity", 0.25)
    arguments = ("--count", 2, "--seed", 3, "--out", out, "--trace", trace, "--json")
    done = run("generate", "--engine", judged_engine, *arguments, *choices)
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    pipeline = adagen_rt.load(judged_engine)
    result = pipeline.generate([0, 1], [3, 4], refine=2, best_of=3, fidelity=0.25)
    np.testing.assert_array_equal(read_arrays(out)["images"], result.images)
    assert (summary["refine"], summary["best_of"]) == (2, 3)
    assert summary["fidelity"] == [0.25, 0.25]
    assert summary["seeds"] == result.seeds.tolist()
    assert summary["rewards"] == pytest.approx(result.rewards.tolist())
    assert summary["backbone_rows"] == result.timings.backbone_rows
    told = json.loads(trace.read_text())
    assert (told["refine"], told["best_of"]) == (2, 3)
    assert told["samples"][1]["fidelity"] == 0.25
    assert told["samples"][1]["reward"] == pytest.approx(float(result.rewards[1]))


def test_without_them_images_are_the_same(run, judged_engine, tiny_engine, tmp_path):
    arguments = ("--count", 3, "--seed", 3, "--json", "--out")
    for name, engine in (("a.npz", judged_engine), ("b.npz", tiny_engine)):
        neutral = ("--refine", 1, "--best-of", 1, "--fidelity", 0)
        done = run("generate", "--engine", engine, *arguments, tmp_path / name, *neutral)
        assert json.loads(done.stdout)["rewards"] == [None] * 3
    images = [read_arrays(tmp_path / name)["images"] for name in ("a.npz", "b.npz")]
    np.testing.assert_array_equal(*images)


def test_failed_samples_are_reported_and_left_out(run, tmp_path):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    out = tmp_path / "a.npz"
    done = run("generate", "--engine", engine, "--count", 4, "--seed", 0, "--out", out, "--json")
    assert done.exit_code == 1
    assert "image 1 (label 1, seed 1) met a non-finite number at step 1" in done.stderr
    failures = json.loads(done.stdout)["failures"]
    assert failures == [{"index": 1, "label": 1, "seed": 1, "step": 1}]
    np.testing.assert_array_equal(read_arrays(out)["labels"], [0, 2, 0])


def test_when_every_sample_fails_no_images_are_written(run, tmp_path):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    out, plot = tmp_path / "a.png", tmp_path / "t.json"
    done = run("generate", "--engine", engine, "--label", 1, "--out", out, "--trace", plot)
    assert done.exit_code == 1
    assert not out.exists()
    assert plot.exists()


def test_help_names_every_option(run):
    done = run("generate", "--help")
    assert done.exit_code == 0
    for option in (
        "--engine",
        "--label",
        "--count",
        "--preview",
        "--plot",
        "--trace",
        "--json",
        "--steps",
        "--schedule",
        "--static",
        "--tuned",
        "--fidelity",
        "--refine",
        "--best-of",
    ):
        assert option in done.stdout


def test_class_names_may_look_like_ranges():
    classes = ClassLabels(count=3, names=("0-2", *CLASSES[:2]))
    assert expand_label(classes, "0-2") == range(1)
    assert expand_label(classes, "1-2") == range(1, 3)
