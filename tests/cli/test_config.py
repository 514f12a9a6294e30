"""Options from a file, how much is said, and lines of JSON."""

import json
import sys

import pytest
from tiny_engine import Options, build_tiny_engine


@pytest.fixture
def run_file(run, tiny_engine, tmp_path, monkeypatch):
    """Returns a function from a file's content and more arguments to the summary."""
    monkeypatch.chdir(tmp_path)

    def invoke(content, *arguments, name="run.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        done = run("generate", "--config", name, "--engine", tiny_engine, "--json", *arguments)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return invoke


OPTIONS = {"label": ["circle", 2], "count": 3, "best-of": 1, "steps": 2, "tuned": False, "seed": 5}


def test_options_of_a_file(run_file):
    told = run_file(OPTIONS | {"static": True, "out": "a.npz"})
    assert (told["labels"], told["seeds"], told["steps"]) == ([0, 2, 0], [5, 6, 7], 2)
    assert (told["schedule"], told["files"]) == ("static", ["a.npz"])


def test_the_command_line_wins(run_file):
    told = run_file(OPTIONS | {"static": True}, "--steps", 3, "--label", 1, "--schedule", "policy")
    assert (told["labels"], told["steps"], told["schedule"]) == ([1, 1, 1], 3, "policy")


def test_yaml(run_file):
    pytest.importorskip("yaml")
    told = run_file("label: circle\ncount: 2\nbatch_size: 1\n", name="run.yaml")
    assert told["labels"] == [0, 0]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"colour": 1}', "config: got 'colour', expected options of generate: engine, label"),
        ('{"config": "x"}', "config: got 'config'"),
        ('{"count": "x"}', "--count"),
        ('{"count": [1, 2]}', "count: got [1, 2], expected one value"),
        ('{"count": {"a": 1}}', "count"),
        ("[1]", "names of options"),
        ("{", "config"),
    ],
)
def test_bad_files_are_refused(refuse, tmp_path, content, named):
    (tmp_path / "run.json").write_text(content)
    assert named in refuse("generate", "--engine", "x", "--config", tmp_path / "run.json")


def test_a_file_that_is_not_there(refuse):
    assert "nowhere.json" in refuse("generate", "--config", "nowhere.json")


def test_yaml_without_its_package(refuse, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "run.yaml").write_text("count: 2")
    line = refuse("generate", "--config", tmp_path / "run.yaml")
    assert "pip install 'adagen-rt[yaml]'" in line


@pytest.mark.parametrize(
    "arguments", [("--static", "--tuned"), ("--static", "--schedule", "tuned")]
)
def test_one_schedule_at_a_time(refuse, tiny_engine, arguments):
    line = refuse("generate", "--engine", tiny_engine, *arguments)
    assert "schedule: got '--" in line
    assert line.endswith("expected one of them\n")


def test_schedules_that_an_engine_lacks(refuse, static_engine):
    line = refuse("generate", "--engine", static_engine, "--schedule", "policy")
    assert "schedule: got 'policy', expected an engine with a policy; tiny has static" in line
    assert "was searched; tiny has static" in refuse(
        "generate", "--engine", static_engine, "--tuned"
    )


@pytest.mark.parametrize("out", ["many", "a.png"])
def test_a_line_of_json_an_image(run, tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    engine = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    arguments = ("--engine", engine, "--count", 5, "--batch-size", 2, "--out", out, "--json-lines")
    done = run("generate", *arguments)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["index"] for line in lines] == list(range(5))
    assert [line["failed_at_step"] for line in lines] == [None, 1, None, None, 1]
    for line in lines:
        assert (line["file"] is None) == (line["failed_at_step"] is not None)
        assert line["file"] is None or (tmp_path / line["file"]).is_file()
        assert line["engine"] == "tiny"


def test_quiet_and_verbose(run, refuse, tiny_engine, tmp_path):
    arguments = ("generate", "--engine", tiny_engine, "--out", tmp_path / "a.png")
    assert run(*arguments, "--quiet").stderr == ""
    loud = run(*arguments, "-v").stderr
    assert "loaded" in loud
    assert "images 0 to 15 of 16" in loud
    assert run(*arguments).stderr == ""
    failed = run(*arguments, "--verbose", "--label", 99)
    assert "Traceback" in failed.stderr
    assert failed.stderr.endswith("Error: label: got 99, expected an integer from 0 to 2\n")
    refuse(*arguments, "--label", 99)


def test_every_command_can_be_quiet(run):
    for command in (["inspect"], ["bench"], ["list"], ["serve"]):
        assert "--quiet" in run(*command, "--help").stdout
