"""A job's shards are the same bytes, whoever makes them, in what parts, and how often it ends."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bulk_job import COUNT, SHARDS, SIZE, digest
from click.testing import CliRunner
from process import start_python
from tiny_engine import Options, build_tiny_engine

import adagen_rt
from adagen_rt.bulk import record
from adagen_rt.bulk.making import Maker
from adagen_rt.cli import main

CODE = "from adagen_rt.cli import main; main()"
#: Images of a job that does not end before somebody ends it.
LONG = 150
KINDS = ("npz", "tar", "parquet", "folder")


@pytest.fixture(autouse=True)
def needed(request):
    if "parquet" in request.node.name:
        pytest.importorskip("pyarrow", reason="needs the extra bulk")


@pytest.mark.parametrize("kind", KINDS)
def test_no_batch_size_and_no_rank_changes_a_byte(bulk, tmp_path, kind):
    bulk("--format", kind, "--batch-size", 1)
    for rank in (2, 0, 1):
        more = ("--out", "ranks", "--batch-size", 2 + rank, "--rank", rank, "--world", 3)
        bulk("--format", kind, *more)
    whole = digest(tmp_path / "out")
    assert whole == digest(tmp_path / "ranks")
    assert len({name.split("/")[0] for name in whole}) == SHARDS + 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_made_again_and_nothing_else(bulk, tmp_path, kind):
    bulk("--format", kind)
    whole = digest(tmp_path / "out")
    (lost,) = (tmp_path / "out").glob("shard-00002*")
    others = {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("shard-0000[013]*")
    }
    lost.rename(tmp_path / "lost")
    done = json.loads(bulk("--format", kind, "--json").stdout)
    assert (done["made"], done["missing"], done["images"]) == (1, 0, SIZE)
    assert digest(tmp_path / "out") == whole
    assert all(path.stat().st_mtime_ns == moment for path, moment in others.items())
    assert json.loads(bulk("--format", kind, "--json").stdout)["made"] == 0


def test_its_images_are_those_of_the_pipeline(bulk, tiny_engine, tmp_path):
    bulk("--seed", 5, "--label", "t-bar", "--label", 0)
    with np.load(tmp_path / "out/shard-00001.npz") as arrays:
        pipeline = adagen_rt.load(tiny_engine, threads=1)
        expected = pipeline.generate([0, 2, 0], [8, 9, 10])
        np.testing.assert_array_equal(arrays["images"], expected.images)
        np.testing.assert_array_equal(arrays["labels"], [0, 2, 0])
        np.testing.assert_array_equal(arrays["seeds"], [8, 9, 10])
        facts = json.loads(str(arrays["adagen_rt"]))
    assert [sample["index"] for sample in facts["samples"]] == [3, 4, 5]


def test_lines_of_a_file_are_taken_in_turn(bulk, tmp_path):
    (tmp_path / "asked.txt").write_text("square\n2\n\tT-Bar \ncircle\n", encoding="utf-8")
    bulk("--from", "asked.txt")
    labels = [np.load(path)["labels"] for path in sorted((tmp_path / "out").glob("*.npz"))]
    assert np.concatenate(labels).tolist() == [1, 2, 2, 0, 1, 2, 2, 0, 1, 2, 2]


def test_lines_say_what_to_lead_away_from(bulk, prompt_engine, tmp_path):
    lines = [{"prompt": "a cat", "negative_prompt": "a dog"}, {"prompt": "a bird"}]
    (tmp_path / "asked.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    engine = prompt_engine()
    bulk("--from", "asked.jsonl", "--negative-prompt", "the sky", engine=engine)
    images = [np.load(path)["images"] for path in sorted((tmp_path / "out").glob("*.npz"))]
    prompts = [lines[place % 2]["prompt"] for place in range(COUNT)]
    negatives = [("a dog", "the sky")[place % 2] for place in range(COUNT)]
    with adagen_rt.load(engine, threads=1) as pipeline:
        expected, plain = (
            pipeline.generate(prompts=prompts, seeds=range(COUNT), **more)
            for more in ({"negative_prompts": negatives}, {})
        )
    np.testing.assert_array_equal(np.concatenate(images), expected.images)
    assert (expected.images != plain.images).any()
    options = ("--from", "asked.jsonl", "--negative-prompt", "another")
    assert "label, from or negative-prompt: got" in bulk(*options, engine=engine, status=2).stderr


def test_processes_make_the_same(bulk, tmp_path):
    bulk()
    bulk("--workers", 2, "--out", "workers")
    assert digest(tmp_path / "out") == digest(tmp_path / "workers")


@pytest.fixture(scope="module")
def whole(tiny_engine, tmp_path_factory):
    """The bytes of the longer job, made without an end."""
    out = tmp_path_factory.mktemp("whole")
    job = [str(tiny_engine), "--count", str(LONG), "--shard-size", str(SIZE), "--out", str(out)]
    assert CliRunner().invoke(main, ["bulk", *job, "--threads", "1"]).exit_code == 0
    return digest(out)


@pytest.fixture
def started(tiny_engine, tmp_path):
    """Returns a function that starts a longer job, and waits for some of its shards."""
    job = ("bulk", tiny_engine, "--count", LONG, "--shard-size", SIZE, "--threads", 1)

    def start(shards, *more):
        process = start_python(CODE, *job, "--out", tmp_path / "killed", "--quiet", *more)
        while process.poll() is None and len(list(tmp_path.glob("killed/*.npz"))) < shards:
            time.sleep(0.001)
        return process

    return start


def test_killed_at_any_moment_it_goes_on(bulk, started, whole, tmp_path):
    for shards in (1, 30):
        with started(shards) as process:
            process.kill()
        assert process.returncode == -signal.SIGKILL
    bulk("--count", LONG, "--out", "killed")
    assert digest(tmp_path / "killed") == whole


def children(process):
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not path.is_file():
        pytest.skip("needs Linux's list of child processes")
    return [int(number) for number in path.read_text().split() if is_worker(number)]


def is_worker(number):
    try:
        return b"spawn_main" in Path(f"/proc/{number}/cmdline").read_bytes()
    except OSError:
        return False


def test_the_shard_of_a_worker_that_dies_is_made_by_another(started, whole, tmp_path):
    with started(1, "--workers", 2) as process:
        os.kill(children(process)[0], signal.SIGKILL)
        assert process.wait(60) == 0
    assert digest(tmp_path / "killed") == whole


def test_workers_end_with_who_started_them(bulk, started, whole, tmp_path):
    with started(1, "--workers", 2) as process:
        workers = children(process)
        process.kill()
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(is_worker(number) for number in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    bulk("--count", LONG, "--out", "killed")
    assert digest(tmp_path / "killed") == whole


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--count", 12), "count: got 12, expected 11, as out/bulk.json has it"),
        (("--shard-size", 4), "shard-size: got 4, expected 3"),
        (("--seed", 1), "seed: got 1, expected 0"),
        (("--steps", 2), "steps: got 2, expected 4"),
        (("--static",), "schedule: got 'static', expected 'policy'"),
        (("--label", 1), "label, from or negative-prompt: got '1 in turn"),
        (("--format", "tar"), "format: got 'tar', expected 'npz'"),
    ],
)
def test_another_job_is_refused(bulk, tmp_path, options, line):
    bulk()
    whole = digest(tmp_path / "out")
    assert line in bulk(*options, status=2).stderr
    assert digest(tmp_path / "out") == whole


def test_without_ray_nothing_is_written(bulk, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv("RAY_ADDRESS", "nowhere")
    assert "adagen-rt[ray]" in bulk("--launcher", "ray", status=2).stderr
    assert not (tmp_path / "out").exists()


def test_another_engine_is_refused(bulk, tmp_path):
    bulk()
    other = build_tiny_engine(tmp_path / "other", Options(seed=1))
    assert "engine_hash: got" in bulk(engine=other, status=2).stderr


def test_another_processor_is_refused_unless_it_may_be(bulk, tmp_path, monkeypatch):
    bulk("--rank", 0, "--world", 2)
    monkeypatch.setattr(record, "cpu_features", lambda: ("asimd", "sve"))
    line = bulk(status=2).stderr
    assert "asimd sve" in line
    assert "--mixed" in line
    bulk("--mixed")
    assert len(list((tmp_path / "out").glob("*.npz"))) == SHARDS


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--count", 0), "count: got 0"),
        (("--shard-size", 0), "shard-size: got 0"),
        (("--shard-size", 1, "--count", 2_000_000), "count: got 2000000"),
        (("--batch-size", 0), "batch-size: got 0"),
        (("--workers", 0), "workers: got 0"),
        (("--seed", (1 << 63) - 3), "seed: got"),
        (("--label", "hat"), "label: got 'hat'"),
        (("--from", "nothing.txt"), "nothing.txt"),
        (("--from", "hats.txt"), "hats.txt, line 2: label: got 'hat'"),
        (("--from", "gap.txt"), "gap.txt, line 2: nothing"),
        (("--from", "hats.txt", "--label", 1), "from: got 'hats.txt'"),
        (("--from", "bad.jsonl"), "bad.jsonl, line 1: ['labels']"),
        (("--from", "twice.jsonl"), "twice.jsonl, line 1: no JSON, or a name twice"),
        (("--from", "hats.txt", "--negative-prompt", "x"), "negative_prompts: got 'x'"),
        (("--negative-prompt", "x"), "negative-prompt: got 'x', expected --from"),
        (("--out", "hats.txt"), "out: got 'hats.txt', expected a folder"),
        (("--out", "nowhere://x"), "out: got 'nowhere://x'"),
        (("--merge", "a.png"), "merge: got 'a.png', expected a name ending .npz"),
        (("--merge", "a.npz", "--rank", 0, "--world", 2), "merge: got 'in one of 2 processes'"),
        (("--launcher", "ray", "--rank", 0, "--world", 2), "launcher: got 'ray in 2 processes'"),
        (("--devices", "0,1"), "devices: got '0,1', expected none with the backend onnxruntime"),
        (("--steps", 0), "steps: got 0"),
        (("--refine", 2), "critic"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(bulk, tmp_path, options, line):
    (tmp_path / "hats.txt").write_text("0\nhat\n")
    (tmp_path / "twice.jsonl").write_text('{"label": 1, "label": 2}\n')
    (tmp_path / "gap.txt").write_text("0\n\n1\n")
    (tmp_path / "bad.jsonl").write_text('{"labels": [1]}\n')
    assert line in bulk(*options, status=2).stderr
    given = ["bad.jsonl", "gap.txt", "hats.txt", "twice.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == given


def test_shards_of_nobody_are_refused(bulk, tmp_path):
    bulk()
    (tmp_path / "out/bulk.json").unlink()
    assert "shard-00000.npz is there" in bulk(status=2).stderr
    (tmp_path / "out/bulk.json").write_text("mine")
    assert "bulk.json of adagen-rt bulk" in bulk(status=2).stderr


def test_a_sample_that_fails_is_left_out_and_told_by_its_number(bulk, tmp_path):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    done = bulk("--merge", "all.npz", "--json", engine=engine, status=1)
    assert sorted(map(int, json.loads(done.stdout)["failures"])) == [1, 4, 7, 10]
    assert "image 4 met a non-finite number at step" in done.stderr
    assert len(np.load(tmp_path / "all.npz")["arr_0"]) == COUNT - 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_in_which_all_fail_is_there_and_empty(bulk, tmp_path, kind):
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    bulk("--label", 1, "--format", kind, "--merge", "all.npz", engine=engine, status=1)
    assert np.load(tmp_path / "all.npz")["arr_0"].shape == (0, 4, 4, 3)


def test_ctrl_c_says_what_is_there(bulk, tmp_path, monkeypatch):
    real = Maker.make

    def stop(self, shard):
        if shard == 2:
            raise KeyboardInterrupt
        return real(self, shard)

    monkeypatch.setattr(Maker, "make", stop)
    done = bulk(status=130)
    assert done.stderr.endswith("Interrupted: 2 of 4 shards are in out; the same command goes on\n")


def test_the_progress_of_all_is_told(bulk):
    bulk("--rank", 1, "--world", 2)
    lines = bulk("--rank", 0, "--world", 2).stderr.splitlines()
    assert [line.split(",")[0] for line in lines] == ["8 of 11 images", "11 of 11 images"]
    assert "images/s" in lines[0]
    assert lines[0].endswith("left")


def test_an_error_of_a_worker_is_the_command_s(bulk, tmp_path):
    line = bulk("--workers", 2, "--count", 2, "--provider", "elsewhere", status=2).stderr
    assert "provider: got 'elsewhere'" in line
