"""Evaluations that are left out, from the loop to every way of asking for it."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.errors import InputError
from adagen_rt.pipeline.capabilities import Capabilities
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.serving import BatchEngine

THRESHOLD, COUNT = 0.03, 10
LABELS, SEEDS = list(range(COUNT)), list(range(COUNT))


@pytest.fixture(scope="module")
def pipeline():
    with adagen_rt.load("fashion-dit", threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def plain(pipeline):
    return pipeline.generate(LABELS, SEEDS)


@pytest.fixture(scope="module")
def made(pipeline):
    return pipeline.generate(LABELS, SEEDS, reuse=THRESHOLD)


def test_samples_leave_different_numbers_of_evaluations_out(plain, made):
    assert len(set(made.evaluations.tolist())) > 2
    assert made.evaluations.min() >= 2
    assert plain.evaluations.tolist() == [8] * COUNT
    assert made.timings.backbone_rows == 2 * made.evaluations.sum()
    # Every step is made, and the policy is asked at each.
    assert np.isfinite(np.stack(list(made.schedule.values()))).all()


def test_images_hardly_change(plain, made):
    apart = np.abs(made.images.astype(int) - plain.images).mean()
    other = np.abs(np.roll(plain.images, 1, axis=0).astype(int) - plain.images).mean()
    assert 0 < apart < 0.1 * other


def test_a_sample_is_the_same_whoever_is_beside_it(pipeline, made):
    for size in (1, 3):
        again = pipeline.generate(LABELS, SEEDS, reuse=THRESHOLD, batch_size=size)
        np.testing.assert_array_equal(again.images, made.images)
        np.testing.assert_array_equal(again.evaluations, made.evaluations)
    turned = pipeline.generate(LABELS[::-1], SEEDS[::-1], reuse=THRESHOLD)
    np.testing.assert_array_equal(turned.images[::-1], made.images)


@pytest.mark.parametrize("engine", ["fashion-dit", "fashion-sit"])
def test_where_nothing_is_left_out_the_bits_are_those_of_every_evaluation(engine):
    with adagen_rt.load(engine, threads=1) as pipeline:
        plain = pipeline.generate([3, 4], [5, 6])
        least = pipeline.generate([3, 4], [5, 6], reuse=1e-9)
    assert least.evaluations.tolist() == [8, 8]
    np.testing.assert_array_equal(least.images, plain.images)


class Line:
    """A backbone whose prediction is a line in time, or bends."""

    def __init__(self, session, bend=0.0):
        self.session, self.bend, self.rows = session, bend, 0

    def run(self, inputs):
        x, t = inputs["x"], inputs["t"][:, None, None, None]
        self.rows += len(x)
        features = np.array(self.session.run(inputs)["features"])
        slope = np.linspace(-1, 1, x[0].size, dtype=np.float32).reshape(x[0].shape)
        prediction = 1 + slope * t + np.float32(self.bend) * np.sin(9 * t)
        return {"prediction": prediction.astype(np.float32), "features": 0 * features}


@pytest.mark.parametrize(("bend", "least", "most"), [(0.0, 2, 2), (5.0, 5, 8)])
def test_a_line_needs_two_evaluations_and_what_bends_more(monkeypatch, bend, least, most):
    with adagen_rt.load("fashion-sit", threads=1) as pipeline:
        sessions = pipeline.sampler.assembly.sessions
        line = Line(sessions["backbone"], bend)
        monkeypatch.setitem(sessions, "backbone", line)
        plain = pipeline.generate([1, 2, 3], [1, 2, 3])
        line.rows = 0
        made = pipeline.generate([1, 2, 3], [1, 2, 3], reuse=0.5)
    assert least <= made.evaluations.min() <= made.evaluations.max() <= most
    assert line.rows == 2 * made.evaluations.sum()
    if not bend:  # the line through two of its points is the line
        np.testing.assert_allclose(made.images.astype(int), plain.images, atol=1)


def test_a_number_that_is_none_is_no_line(monkeypatch):
    class Broken(Line):
        def run(self, inputs):
            made = super().run(inputs)
            return {name: values * np.nan for name, values in made.items()}

    with adagen_rt.load("fashion-sit", threads=1) as pipeline:
        sessions = pipeline.sampler.assembly.sessions
        monkeypatch.setitem(sessions, "backbone", Broken(sessions["backbone"]))
        made = pipeline.generate([1], [1], reuse=1.0)
    assert made.failures == {0: 1}


def test_a_server_gives_the_same_beside_those_that_leave_nothing_out(plain, made):
    with BatchEngine("fashion-dit", max_batch=4, threads=1) as engine:
        jobs = [
            engine.submit(label, seed, reuse=reuse)
            for label, seed in zip(LABELS, SEEDS, strict=True)
            for reuse in (THRESHOLD, 0.0)
        ]
        images = [job.result() for job in jobs]
    for place, expected in enumerate((made, plain)):
        got = images[place::2]
        np.testing.assert_array_equal([image.pixels for image in got], expected.images)
        assert [image.evaluations for image in got] == expected.evaluations.tolist()
    assert [job.evaluations for job in jobs[::2]] == made.evaluations.tolist()


def test_the_best_of_several_says_its_own_number():
    with adagen_rt.load("fashion-dit", threads=1) as pipeline:
        best = pipeline.generate(LABELS, SEEDS, reuse=THRESHOLD, best_of=2)
        kept = pipeline.generate(LABELS, best.seeds, reuse=THRESHOLD)
    np.testing.assert_array_equal(best.images, kept.images)
    np.testing.assert_array_equal(best.evaluations, kept.evaluations)


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        ("fashion-maskgit", {"reuse": 0.1}, "maskgit needs every evaluation"),
        ("fashion-var", {"reuse": 0.1}, "var needs every evaluation"),
        ("fashion-dit", {"reuse": 0.1, "refine": 2}, "0 beside refine"),
        ("fashion-dit", {"reuse": -0.1}, "a number from 0 to 1"),
        ("fashion-dit", {"reuse": 1.5}, "a number from 0 to 1"),
        ("fashion-dit", {"reuse": float("nan")}, "a number from 0 to 1"),
        ("fashion-dit", {"reuse": [0.1]}, "a number from 0 to 1"),
        ("fashion-dit", {"reuse": "0.1"}, "a number from 0 to 1"),
        ("fashion-dit", {"reuse": True}, "a number from 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(engine, options, expected):
    with adagen_rt.load(engine, threads=1) as pipeline:
        with pytest.raises(InputError, match=f"reuse: .*{expected}") as raised:
            pipeline.generate([1], [1], **options)
        assert "one for each" not in str(raised.value)


def test_whoever_does_not_go_step_by_step_refuses_it():
    pytest.importorskip("onnx_ir", reason="needs the extra bundle")
    expected = r"reuse: .*0 with the backend .*; onnxruntime and openvino have it"
    with (
        adagen_rt.load("fashion-dit", backend="one-graph", threads=1) as pipeline,
        pytest.raises(InputError, match=expected),
    ):
        pipeline.generate([1], [1], reuse=0.1)
    lacks = Capabilities(streams=False, refines=False, reuses=False)
    with pytest.raises(InputError, match=expected):
        lacks.check("torch", SamplingParams(reuse=0.1))


def test_a_picture_is_made_again(tmp_path):
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    asked = ["--engine", "fashion-dit", "--label", "3", "--seed", "3", "--reuse", "0.03"]
    done = CliRunner().invoke(main, ["generate", *asked, "--out", str(one), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["reuse"] == 0.03
    assert said["evaluations"][0] < 8
    again = ["generate", "--repeat", str(one), "--out", str(two)]
    assert CliRunner().invoke(main, again).exit_code == 0
    assert one.read_bytes() == two.read_bytes()
    every = ["generate", *asked[:-2], "--out", str(two), "--overwrite"]
    CliRunner().invoke(main, every)
    assert adagen_rt.load("fashion-dit").generate([3], [3]).evaluations.tolist() == [8]


def test_baselines_without_the_sample_refuse_it(tmp_path):
    asked = ["evaluate", "fashion-dit", "--data", str(tmp_path), "--samples", "100"]
    done = CliRunner().invoke(main, [*asked, "--schedule", "mean", "--reuse", "0.1"])
    assert done.exit_code == 2
    assert "no --refine, --best-of or --reuse beside it" in done.stderr
