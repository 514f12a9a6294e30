import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from click.testing import CliRunner

from adagen_rt.cli import main


def test_a_shipped_engine_gets_a_twin_that_generates(tmp_path):
    out, picture = tmp_path / "twin", tmp_path / "one.png"
    done = CliRunner().invoke(main, ["quantize", "fashion-sit", "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"written: {out}\n"
    assert "measuring backbone: blocks.*.mlp.fc1" in done.stderr
    arguments = ["generate", "--engine", str(out), "--count", "1", "--out", str(picture)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert picture.is_file()
    shown = CliRunner().invoke(main, ["inspect", str(out)])
    assert "int8" in shown.output


def test_an_integer_engine_is_refused_by_its_dtype(tmp_path):
    out = tmp_path / "twin"
    CliRunner().invoke(main, ["quantize", "fashion-sit", "--out", str(out)])
    again = CliRunner().invoke(main, ["quantize", str(out), "--out", str(tmp_path / "other")])
    assert again.exit_code == 2
    assert "engine: got 'int8'" in again.stderr


def test_an_engine_that_stays_float32_is_not_called_int8(tiny_engine, tmp_path):
    out = tmp_path / "twin"
    done = CliRunner().invoke(main, ["quantize", str(tiny_engine), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"written: {out}, wholly float32: no layer can be integers\n"
