import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

import shutil

from click.testing import CliRunner

import adagen_rt
from adagen_rt.cli import main
from adagen_rt.quantization import choice


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A shipped engine's twin, and how it was made."""
    out = tmp_path_factory.mktemp("quantized") / "twin"
    return out, CliRunner().invoke(main, ["quantize", "fashion-sit", "--out", str(out)])


def test_a_shipped_engine_gets_a_twin_that_generates(twin, tmp_path):
    (out, done), picture = twin, tmp_path / "one.png"
    assert done.exit_code == 0, done.output
    assert done.stdout == f"written: {out}\n"
    assert "measuring backbone: blocks.*.mlp.fc1" in done.stderr
    arguments = ["generate", "--engine", str(out), "--count", "1", "--out", str(picture)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert picture.is_file()
    shown = CliRunner().invoke(main, ["inspect", str(out)])
    assert "int8" in shown.output


def test_an_integer_engine_is_refused_by_its_dtype(twin, tmp_path):
    again = CliRunner().invoke(main, ["quantize", str(twin[0]), "--out", str(tmp_path / "other")])
    assert again.exit_code == 2
    assert "engine: got 'int8'" in again.stderr


@pytest.mark.parametrize("kind", ["int8", "half"])
def test_an_engine_is_not_replaced_by_its_twin(tiny_engine, tmp_path, kind):
    """Its weights would be lost."""
    own = shutil.copytree(tiny_engine, tmp_path / "own")
    (tmp_path / "link").symlink_to(own)
    asked = ["quantize", str(own), "--out", str(tmp_path / "link"), *["--half"][: kind == "half"]]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "expected another folder than the engine's" in done.stderr
    assert adagen_rt.load(own).manifest.dtype == "float32"


def test_an_engine_that_stays_float32_is_not_called_int8(tiny_engine, tmp_path):
    out = tmp_path / "twin"
    done = CliRunner().invoke(main, ["quantize", str(tiny_engine), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"written: {out}, wholly float32: no layer can be integers\n"


def test_layers_that_integers_make_no_faster_stay_float32(tmp_path, monkeypatch):
    speeds = iter([1.5, *[0.9] * 100])
    monkeypatch.setattr(choice, "times_as_fast", lambda *graphs: next(speeds))
    out = tmp_path / "twin"
    asked = ["quantize", "fashion-maskgit", "--tune", "--threads", "1", "--out", str(out)]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    card = (out / "README.md").read_text(encoding="utf-8")
    kept = [line.split("|")[-3:-1] for line in card.splitlines() if line.startswith("| `")]
    assert len(kept) > 10
    assert kept == [[" 1.50 ", " int8 "], *[[" 0.90 ", " float32 "]] * (len(kept) - 1)]
    assert "CPU threads: 1" in card
    assert adagen_rt.load(out).manifest.dtype == "int8"


def test_halves_are_not_tuned(tiny_engine, tmp_path):
    asked = ["quantize", str(tiny_engine), "--half", "--tune", "--out", str(tmp_path / "twin")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert "--tune: got 'with --half'" in done.stderr
