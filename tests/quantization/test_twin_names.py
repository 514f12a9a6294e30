import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.quantization import quantize_engine


def test_a_twin_is_named_as_such(tiny_engine, tmp_path):
    source = open_engine(tiny_engine)
    assert quantize_engine(source, tmp_path / "a").manifest.name == "tiny-int8"
    assert quantize_engine(source, tmp_path / "b", name="small").manifest.name == "small"


def test_a_name_that_no_engine_can_have(tiny_engine, tmp_path):
    with pytest.raises(InputError, match=r"^name: got 'a b', expected at most 100 letters"):
        quantize_engine(open_engine(tiny_engine), tmp_path / "c", name="a b")
    assert not (tmp_path / "c").exists()
