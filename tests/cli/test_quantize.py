import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

import shutil

from click.testing import CliRunner

import adagen_rt
from adagen_rt.cli import main


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
