import pytest

pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.quantization import quantize_engine


def test_a_twin_without_integers_says_so(tiny_engine, tmp_path):
    """Its products are too small to be worth integers."""
    source, told = open_engine(tiny_engine), []
    twin = quantize_engine(source, tmp_path / "twin", progress=told.append)
    assert (twin.manifest.name, twin.manifest.dtype) == ("tiny-float32", "float32")
    assert told[-1] == "no layer of tiny can be integers: all weights stay float32"
    card = (twin.path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# tiny-float32, float32 weights\n\n**No weight is an integer here**")
    graphs = [(one.path / "backbone.onnx").read_bytes() for one in (source, twin)]
    assert graphs[0] == graphs[1]


def test_a_twin_has_the_name_that_it_is_given(tiny_engine, tmp_path):
    twin = quantize_engine(open_engine(tiny_engine), tmp_path / "b", name="small")
    assert (twin.manifest.name, twin.manifest.dtype) == ("small", "float32")


def test_a_name_that_no_engine_can_have(tiny_engine, tmp_path):
    with pytest.raises(InputError, match=r"^name: got 'a b', expected at most 100 letters"):
        quantize_engine(open_engine(tiny_engine), tmp_path / "c", name="a b")
    assert not (tmp_path / "c").exists()
