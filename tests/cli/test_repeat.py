"""Every file says how its images were made, and `--repeat` makes them again."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_engine import CLASSES, STEPS, Options, build_tiny_engine

from adagen_rt.engine.folder import sha256
from adagen_rt.sampling.facts import read_facts

#: Options that change images.
CHOICES = ("--steps", 5, "--refine", 2, "--best-of", 3, "--fidelity", 0.25)


def pixels(path):
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return arrays["images"]
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture
def made(run, judged_engine, tmp_path, monkeypatch):
    """Returns a function that generates in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = run("generate", "--engine", judged_engine, *arguments)
        assert done.exit_code == 0, done.output
        return done

    return invoke


@pytest.fixture
def again(run, judged_engine):
    """Returns a function from a file to another one of the same images."""

    def invoke(path, *arguments, engine=judged_engine):
        out = path.with_name(f"again{path.suffix}")
        done = run("generate", "--engine", engine, "--repeat", path, "--out", out, *arguments)
        assert done.exit_code == 0, done.output
        return out

    return invoke


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg", "a.npz"])
def test_without_a_seed_a_file_is_made_again_to_the_byte(made, again, name):
    made("--count", 5, "--out", name, *CHOICES)
    copy = again(Path(name))
    np.testing.assert_array_equal(pixels(copy), pixels(Path(name)))


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_one_image_of_a_folder(made, again, kind, tmp_path):
    made("--count", 3, "--out", "many", "--format", kind, *CHOICES)
    files = sorted((tmp_path / "many").iterdir())
    copy = again(shutil.copy(files[1], tmp_path / f"one.{kind}"))
    np.testing.assert_array_equal(pixels(copy), pixels(files[1]))


def test_a_trace_and_a_static_schedule(made, again, tmp_path):
    made("--count", 3, "--static", "--trace", "t.json", "--out", "a.npz")
    out = tmp_path / "b.npz"
    again(tmp_path / "t.json", "--out", out)
    np.testing.assert_array_equal(pixels(out), pixels(tmp_path / "a.npz"))


@pytest.mark.parametrize("option", ["--json", "--json-lines"])
@pytest.mark.parametrize("count", [1, 3])
def test_what_was_printed(made, again, tmp_path, option, count):
    choices = ("--count", count, "--label", "square", *CHOICES)
    (tmp_path / "printed.txt").write_text(made(*choices, option, "--out", "a.npz").stdout)
    out = tmp_path / "b.npz"
    again(tmp_path / "printed.txt", "--out", out)
    np.testing.assert_array_equal(pixels(out), pixels(tmp_path / "a.npz"))


def test_lines_of_two_runs_are_no_run(made, refuse, tmp_path):
    lines = [made("--count", 1, "--json-lines", *more).stdout for more in ((), ("--steps", 5))]
    (tmp_path / "both.txt").write_text("".join(lines))
    assert "repeat: got" in refuse("generate", "--repeat", tmp_path / "both.txt")


def test_what_a_file_says(made, judged_engine, tmp_path):
    summary = json.loads(made("--count", 2, "--out", "a.png", "--json", *CHOICES).stdout)
    facts = read_facts(tmp_path / "a.png")
    known = {
        "engine": "tiny",
        "engine_hash": sha256(judged_engine / "manifest.json"),
        "backend": "onnxruntime",
        "steps": 5,
        "schedule": "policy",
        "refine": 2,
        "best_of": 3,
    }
    assert known.items() <= facts.items()
    assert known.items() <= summary.items()
    assert facts["adagen_rt"] == summary["adagen_rt"]
    assert [sample["seed"] for sample in facts["samples"]] == summary["seeds"]
    assert [sample["fidelity"] for sample in facts["samples"]] == [0.25, 0.25]
    assert [sample["name"] for sample in facts["samples"]] == list(CLASSES[:2])


def test_what_other_programs_see(made):
    made("--count", 1, "--out", "a.png")
    with Image.open("a.png") as picture:
        assert picture.text["Software"] == "adagen-rt"
        assert json.loads(picture.text["adagen-rt"])["steps"] == STEPS
    made("--count", 1, "--out", "a.jpg")
    with Image.open("a.jpg") as picture:
        assert picture.getexif().get_ifd(0x8769)[0x9286].startswith(b"ASCII\0\0\0{")


def test_an_engine_that_is_not_shipped_has_to_be_named(made, refuse, tmp_path):
    made("--count", 1, "--out", "a.png")
    assert "tiny is not shipped" in refuse("generate", "--repeat", "a.png", "--out", "b.png")
    assert not (tmp_path / "b.png").exists()


def test_an_engine_of_another_hash_is_taken_only_by_name(made, again, refuse, tmp_path):
    made("--count", 1, "--out", "a.png")
    other = build_tiny_engine(tmp_path / "tiny", Options(seed=1))
    line = refuse("generate", "--repeat", "a.png", "--out", "b.png")
    assert sha256(other / "manifest.json")[:12] in line
    assert "--engine tiny takes this one all the same" in line
    again(tmp_path / "a.png", engine="tiny")


@pytest.mark.parametrize(
    "arguments",
    [("--seed", 3), ("--label", 1), ("--count", 2), ("--static",), ("--best-of", 2)],
)
def test_what_the_file_says_is_not_said_again(made, refuse, arguments):
    made("--count", 1, "--out", "a.png")
    line = refuse("generate", "--repeat", "a.png", *arguments)
    assert f"repeat: got '{arguments[0]} as well'" in line


def test_a_file_that_says_nothing(refuse, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("nothing")
    (tmp_path / "a.json").write_text('{"adagen_rt": "1", "samples": [{"index": 0}]}')
    for name in ("a.png", "a.txt", "a.json", "none.png"):
        assert "repeat: got" in refuse("generate", "--repeat", tmp_path / name)
