"""Bad input: one line, status 2, and nothing that existed is touched."""

import json
import shutil
from pathlib import Path

import pytest

FIXED = ("--seed", 0)


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    """A folder with results of an earlier run; they must be as they were in the end."""
    folder = tmp_path / "work"
    (folder / "images").mkdir(parents=True)
    for name in ("out.png", "preview.png", "plot.png", "trace.json", "images/old.png"):
        (folder / name).write_text("precious")
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    yield folder
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.fixture
def refuse_generate(refuse, guarded, tiny_engine):
    def invoke(*arguments, engine=tiny_engine):
        return refuse("generate", "--engine", engine, *arguments)

    return invoke


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--label", 3), "label: got 3, expected an integer from 0 to 2"),
        (("--label", 10**9), "label"),
        (("--label", -1), "label"),
        (("--label", "0-3"), "label"),
        (("--label", "2-1"), "label"),
        (("--label", "hat"), "circle, square, t-bar"),
        (("--label", "9" * 5000), "circle, square, t-bar"),
        (("--count", 0), "count: got 0"),
        (("--count", -4), "count"),
        (("--count", 10**6), "count: got 1000000"),
        (("--count", "many"), "--count"),
        (("--count", "1.5"), "--count"),
        (("--steps", 0), "steps"),
        (("--steps", 10**9), "steps: got 1000000000"),
        (("--steps", -1), "steps"),
        (("--steps", "x"), "--steps"),
        (("--seed", -1), "seed"),
        (("--seed", 2**63), "seed"),
        (("--seed", 2**63 - 1), "seed"),
        (("--batch-size", 0), "batch-size"),
        (("--batch-size", 10**6), "batch-size"),
        (("--threads", 0), "threads"),
        (("--fidelity", 1.5), "fidelity: got 1.5"),
        (("--fidelity", "nan"), "fidelity: got nan"),
        (("--fidelity", "high"), "--fidelity"),
        (("--fidelity", 0.5), "fidelity needs the graph 'fidelity_policy', which this engine"),
        (("--refine", 0), "refine: got 0"),
        (("--refine", 2), "refine needs the graph 'critic'"),
        (("--refine", 2, "--static"), "refine: got 2, expected 1 with a static schedule"),
        (("--refine", 2, "--schedule", "static"), "refine: got 2, expected 1 with a static"),
        (("--schedule", "best"), "--schedule"),
        (("--schedule", "tuned"), "schedule: got 'tuned', expected an engine whose static"),
        (("--tuned", "--static"), "schedule: got '--static and --tuned', expected one of them"),
        (("--static", "--schedule", "policy"), "schedule: got '--static and --schedule policy'"),
        (("--best-of", 10**6), "best-of: got 1000000"),
        (("--best-of", 2), "best_of needs the graph 'reward'"),
        (("--best-of", 2, "--preview", "p.png"), "preview: got 'p.png', expected no --best-of"),
        (("--backend", "abacus"), "--backend"),
        (("--colour", "red"), "--colour"),
        (("--out", "out.tif"), "out: got 'out.tif'"),
        (("--out", "out.png/more.png"), "out"),
        (("--preview", "images"), "preview"),
        (("--plot", "plot.png/p.png"), "plot"),
        (("--trace", "out.png"), "trace"),
        (("--preview", "p.png", "--plot", "p.png"), "plot"),
    ],
)
def test_options(refuse_generate, arguments, named):
    assert named in refuse_generate(*arguments)


def test_an_unknown_engine(refuse_generate):
    assert "engine: got 'nope'" in refuse_generate(engine="nope")


def test_no_engine(refuse, guarded):
    assert "--engine" in refuse("generate")


def test_an_unknown_command(refuse, guarded):
    assert "draw" in refuse("draw")


def test_a_plot_without_its_extra(refuse_generate, monkeypatch):
    monkeypatch.setattr("adagen_rt.cli.support.plots.find_spec", lambda name: None)
    assert "pip install 'adagen-rt[plot]'" in refuse_generate("--plot", "plot.png")


def test_a_grid_too_large_to_be_a_picture(refuse_generate, monkeypatch):
    monkeypatch.setattr("adagen_rt.sampling.pictures.MAX_GRID_PIXELS", 100)
    assert "at most 6" in refuse_generate("--count", 7)


def edit(engine, **changes):
    path = engine / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"colour": "red"}, "colour"), ({"format": 2}, "format"), ({"files": {}}, "graphs.")],
)
def test_a_wrong_manifest(refuse_generate, own_engine, changes, named):
    edit(own_engine, **changes)
    assert named in refuse_generate(engine=own_engine)


def test_a_wrong_hash(refuse_generate, own_engine):
    files = json.loads((own_engine / "manifest.json").read_text())["files"]
    edit(own_engine, files={**files, "policy.onnx": "0" * 64})
    assert "policy.onnx: SHA-256" in refuse_generate(engine=own_engine)


def test_a_truncated_graph(refuse_generate, own_engine):
    path = own_engine / "backbone.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    assert "cut short" in refuse_generate(engine=own_engine)


def test_a_missing_file(refuse_generate, own_engine):
    (own_engine / "policy.onnx").unlink()
    assert "policy.onnx" in refuse_generate(engine=own_engine)


def test_inspect_checks_the_engine(refuse, guarded, own_engine):
    (own_engine / "policy.onnx").unlink()
    assert "policy.onnx" in refuse("inspect", own_engine)
    assert "nope" in refuse("inspect", "nope")


class RunsCode:
    """What a hostile weight file holds: reading it would write a file."""

    def __reduce__(self):
        return Path.write_text, (Path("owned"), "code ran")


def test_a_checkpoint_that_would_run_code(run, guarded, tiny_engine, tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    recipe = Path(__file__).parents[2] / "export" / "fashion-maskgit.yaml"
    hostile = recipe.read_text().replace(".safetensors", ".pth")
    (tmp_path / "recipe.yaml").write_text(hostile)
    for name in ("backbone", "decoder", "policy"):
        torch.save({"weight": RunsCode()}, tmp_path / f"{name}.pth")
    out = Path(shutil.copytree(tiny_engine, tmp_path / "engine"))
    before = (out / "manifest.json").read_bytes()
    arguments = ("--weights", tmp_path, "--out", out)
    done = run("export", tmp_path / "recipe.yaml", *arguments)
    assert done.exit_code == 2
    assert "could run code" in done.stderr
    assert "Traceback" not in done.output
    assert (out / "manifest.json").read_bytes() == before
