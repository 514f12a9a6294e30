"""Every choice of every option is run once, end to end: a result, or one line that says why not."""

import json
import shutil

import click
import pytest
import yaml

pytest.importorskip("torch")

from adagen_rt.cli import main

#: Choices that want a GPU or a package that not every machine has.
ELSEWHERE = {"ray", "tensorrt", "tensorrt-rtx", "openvino", "torch"}


def walk(command, path=()):
    """Yield the words of every command, and the command."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from walk(command.get_command(context, name), (*path, name))


#: Options whose choices `tests/export/test_dtypes.py` runs too.
TESTED_ELSEWHERE = (("export", "--dtype"), ("pull", "--dtype"))
CASES = [
    pytest.param(
        " ".join(path),
        option.opts[0],
        choice,
        marks=[pytest.mark.slow] if (*path, option.opts[0]) in TESTED_ELSEWHERE else [],
    )
    for path, command in walk(main)
    for option in command.params
    if isinstance(option.type, click.Choice)
    for choice in option.type.choices
]


@pytest.fixture(scope="module")
def searched_engine(exported, tmp_path_factory):
    """An engine that has all schedules."""
    engine = exported("sit")
    folder = shutil.copytree(engine.path, tmp_path_factory.mktemp("all") / "engine")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    schedule = manifest["schedule"]
    schedule["tuned"] = [action["static"] for action in schedule["actions"]]
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def arguments(searched_engine, saved_model, data, tmp_path):
    """Give the arguments that each command needs, by its words."""
    recipe, weights = saved_model
    short = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    stages = ("tokenizer", "decoder", "generator")
    short["training"] = {stage: {"steps": 1, "batch_size": 4} for stage in stages}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(short), encoding="utf-8")
    known = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    known["sources"] = {name: {"link": "https://files.example/"} for name in known["files"]}
    (tmp_path / "known.yaml").write_text(yaml.safe_dump(known), encoding="utf-8")
    out = ("--out", tmp_path / "out")
    return {
        "generate": ("--engine", searched_engine, *out),
        "bulk": (searched_engine, "--count", 2, "--batch-size", 2, *out),
        "bench": (searched_engine, "--batch", "1", "--repeats", 1),
        "evaluate": (searched_engine, "--data", data, "--samples", 10),
        "export": (recipe, "--weights", weights, *out),
        "pull": (tmp_path / "known.yaml", "--weights", weights, *out),
        "build": (searched_engine, "--backend", "tensorrt-rtx"),
        "bundle": (searched_engine, "--out", tmp_path / "one.onnx", "--overwrite"),
        "serve": (searched_engine, "--port", 0, "--max-batch", 2),
        "train classifier": ("--data", data, "--steps", 1, *out),
        "train generator": ("--recipe", tmp_path / "short.yaml", "--data", data, *out),
    }


@pytest.fixture
def served(monkeypatch):
    """Let `serve` end when its engines are warm, and leave this process as it was."""
    pytest.importorskip("fastapi")
    from adagen_rt.serving.http.server import Server

    def serve_on(server, listener, warm_first=False):
        server._load()
        server.fleet.close(drain=False)
        if server.failure is not None:
            raise server.failure
        return 0

    monkeypatch.setattr(Server, "serve_on", serve_on)
    monkeypatch.setattr("adagen_rt.serving.http.logs.log_json", lambda: None)
    monkeypatch.setattr("adagen_rt.serving.http.pauses.shorten_pauses", lambda: None)


@pytest.mark.parametrize(("command", "option", "choice"), CASES)
def test_it_gives_a_result_or_one_line(request, run, arguments, stand_in, command, option, choice):
    if command == "serve":
        request.getfixturevalue("served")
    if command == "build":
        stand_in("tensorrt-rtx")
    given = [*command.split(), *arguments[command]]
    if command == "train generator" and choice in ("decoder", "backbone"):
        assert run(*given, option, "tokenizer").exit_code == 0  # which it needs
    done = run(*given, option, choice)
    elsewhere = choice in ELSEWHERE or (option, choice) == ("--precision", "bf16")
    if done.exit_code == 2 and elsewhere:
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return
    assert done.exit_code == 0, done.output


def test_there_are_some():
    commands = {case.values[0] for case in CASES}
    assert commands >= {"generate", "bench", "evaluate", "export", "build", "train generator"}
