"""What an interrupted run leaves, and how another one goes on with it."""

import json
import signal
import subprocess

import numpy as np
import pytest
from PIL import Image
from process import run_python, start_python
from tiny_engine import Options, build_tiny_engine

from adagen_rt.files import replace_file, staged_folder
from adagen_rt.pipeline.stepwise import StepwisePipeline

CODE = "from adagen_rt.cli import main; main()"
#: Batches that are made until Ctrl-C.
BATCHES = 2


@pytest.fixture
def generate(run, tiny_engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, engine=tiny_engine):
        return run("generate", "--engine", engine, "--out", "out", "--batch-size", 3, *arguments)

    return invoke


@pytest.fixture
def interrupted(generate, monkeypatch):
    """Returns a function that generates and is interrupted in the third batch."""

    def invoke(*arguments):
        real, batches = StepwisePipeline._run, []

        def stop(self, request, batch_size, progress):
            batches.append(request)
            if len(batches) > BATCHES:
                raise KeyboardInterrupt
            return real(self, request, batch_size, progress)

        with monkeypatch.context() as patch:
            patch.setattr(StepwisePipeline, "_run", stop)
            return generate(*arguments)

    return invoke


def pictures(folder):
    def pixels(path):
        with Image.open(path) as picture:
            return np.asarray(picture)

    return {path.name: pixels(path) for path in sorted(folder.iterdir())}


def test_what_was_made_is_kept_and_said_in_one_line(interrupted, tmp_path):
    done = interrupted("--count", 10)
    assert done.exit_code == 130
    assert done.stdout == ""
    assert done.stderr == "Interrupted: 6 of 10 images are in out; --resume makes the rest\n"
    assert len(pictures(tmp_path / "out")) == 6


@pytest.mark.parametrize("choices", [(), ("--seed", 5), ("--steps", 2, "--format", "webp")])
def test_going_on_gives_what_one_run_gives(interrupted, generate, tmp_path, choices):
    interrupted("--count", 10, *choices)
    first = sorted((tmp_path / "out").iterdir())
    before = {path: path.stat().st_mtime_ns for path in first}
    done = generate("--count", 10, "--resume", "--json", *choices)
    assert json.loads(done.stdout)["indices"] == [6, 7, 8, 9]
    assert {path: path.stat().st_mtime_ns for path in first} == before
    seeds = sorted(int(path.stem.partition("seed")[2]) for path in (tmp_path / "out").iterdir())
    assert seeds == list(range(seeds[0], seeds[0] + 10))
    (tmp_path / "out").rename(tmp_path / "resumed")
    generate("--count", 10, *choices, "--seed", seeds[0])
    whole, resumed = pictures(tmp_path / "out"), pictures(tmp_path / "resumed")
    assert whole.keys() == resumed.keys()
    for name, image in whole.items():
        np.testing.assert_array_equal(image, resumed[name])


def test_best_of_goes_on_with_the_seeds_that_were_asked_for(
    interrupted, generate, judged_engine, tmp_path
):
    choices = ("--count", 4, "--best-of", 3)
    generate(*choices, engine=judged_engine)
    whole = pictures(tmp_path / "out")
    for path in sorted((tmp_path / "out").iterdir())[1:3]:
        path.unlink()
    assert generate(*choices, "--resume", engine=judged_engine).exit_code == 0
    resumed = pictures(tmp_path / "out")
    assert whole.keys() == resumed.keys()


def test_nothing_is_left_to_do(generate):
    generate("--count", 4)
    done = generate("--count", 4, "--resume")
    assert done.exit_code == 0
    assert "0 images" in done.stdout


def test_a_folder_that_is_not_there_yet_is_made(generate, tmp_path):
    assert generate("--count", 4, "--resume").exit_code == 0
    assert len(pictures(tmp_path / "out")) == 4


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--steps", 2), "steps: got 2, expected 4, as out"),
        (("--seed", 9), "seed: got 9, expected 3, as out"),
        (("--label", 2), "label: got 2, expected 0, as out"),
        (("--static",), "schedule: got 'static', expected 'policy', as out"),
        (("--format", "jpg"), "format: got 'jpg', expected png, as out"),
        (("--trace", "t.json"), "trace: got 't.json', expected no --resume"),
        (("--out", "a.png"), "resume: got 'a.png', expected a folder"),
    ],
)
def test_other_options_are_refused(generate, refuse, tiny_engine, arguments, named):
    generate("--count", 4, "--seed", 3)
    line = refuse(
        "generate", "--engine", tiny_engine, "--out", "out", "--count", 4, "--resume", *arguments
    )
    assert named in line


def test_another_engine_is_refused(generate, refuse, tmp_path):
    generate("--count", 4)
    other = build_tiny_engine(tmp_path / "other", Options(seed=1))
    line = refuse("generate", "--engine", other, "--out", "out", "--resume")
    assert "engine_hash" in line


def test_pictures_of_others_are_refused(refuse, tiny_engine, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "mine.png")
    line = refuse("generate", "--engine", tiny_engine, "--out", tmp_path, "--resume")
    assert "mine.png" in line


def test_a_failed_sample_is_tried_again_and_told_by_its_number(generate, tmp_path):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    generate("--count", 4, engine=engine)
    done = generate("--count", 4, "--resume", engine=engine)
    assert done.exit_code == 1
    assert "image 1 (label 1" in done.stderr


def test_an_interrupted_file_is_not_there(interrupted, tmp_path):
    done = interrupted("--count", 10, "--out", "a.png")
    assert (done.exit_code, done.stderr) == (130, "Interrupted: nothing was written\n")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "Inter"), (signal.SIGTERM, 143, "Termin")]
)
def test_signals_end_any_command_cleanly(tmp_path, number, status, word):
    code = f"""
import time
from pathlib import Path
import adagen_rt.cli.inspect as command
from adagen_rt.cli import main
from adagen_rt.files import staged_folder

def hang(name):
    with staged_folder(Path({str(tmp_path / "engine")!r}), "manifest.json"):
        print("ready", flush=True)
        time.sleep(60)

command.open_engine = hang
main()
"""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with start_python(code, "inspect", "x", **options) as process:
        assert process.stdout.readline() == "ready\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert error.startswith(word)
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_what_was_to_be_written(tiny_engine, tmp_path):
    pytest.importorskip("resource")
    code = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (4096, 4096)); {CODE}"
    target = tmp_path / "a.npz"
    done = run_python(code, "generate", "--engine", tiny_engine, "--count", 900, "--out", target)
    assert done.returncode == 2
    assert done.stderr == f"Error: {target}: File too large\n"
    assert not list(tmp_path.iterdir())


def test_the_target_is_named_where_a_source_was_read(tmp_path):
    def write(path):
        raise OSError(28, "No space left on device", "source.onnx")

    with pytest.raises(OSError, match="target") as caught:
        replace_file(tmp_path / "target", write)
    assert caught.value.filename == str(tmp_path / "target")
    with pytest.raises(OSError, match="engine"), staged_folder(tmp_path / "engine", "x") as folder:
        write(folder)
