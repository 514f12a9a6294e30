import numpy as np
import onnx
import pytest
from tiny_engine import CLASSES, TOKENS, VOCABULARY

pytest.importorskip("onnx_ir")

from adagen_rt.backends import make_backend
from adagen_rt.engine import precision
from adagen_rt.engine.precision import HALF, convert_file

NAMES = {"float16": onnx.TensorProto.FLOAT16, "bfloat16": onnx.TensorProto.BFLOAT16}


@pytest.fixture
def source(tiny_engine):
    return tiny_engine / "backbone.onnx"


@pytest.mark.parametrize("dtype", HALF)
def test_only_products_and_their_weights_are_converted(source, tmp_path, dtype):
    convert_file(source, tmp_path / "twin.onnx", dtype)
    graph = onnx.load(tmp_path / "twin.onnx").graph
    half = [tensor for tensor in graph.initializer if tensor.data_type == NAMES[dtype]]
    assert len(half) == 1
    assert half[0].name.startswith("head")
    assert [node.op_type for node in graph.node].count("Cast") == 2
    assert all(value.type.tensor_type.elem_type != NAMES[dtype] for value in graph.output)


def test_the_twin_computes_the_same(source, tmp_path):
    convert_file(source, tmp_path / "twin.onnx", "float16")
    rng = np.random.default_rng(0)
    inputs = {
        "tokens": rng.integers(0, VOCABULARY + 1, (3, TOKENS)),
        "labels": rng.integers(0, len(CLASSES) + 1, 3),
    }
    graphs = [
        make_backend("onnxruntime", 1).load(path) for path in (source, tmp_path / "twin.onnx")
    ]
    want, got = (graph.run(inputs)["logits"] for graph in graphs)
    assert (want != got).any()
    np.testing.assert_allclose(got, want, atol=1e-2 * want.std())


def test_large_weights_go_beside_the_graph(source, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "INLINE_BYTES", 16)
    convert_file(source, tmp_path / "twin.onnx", "float16")
    assert {path.name for path in tmp_path.iterdir()} == {"twin.onnx", "twin.data"}


def test_weights_that_lie_beside_the_source_come_along(source, tmp_path):
    split = tmp_path / "split.onnx"
    onnx.save(
        onnx.load(source), split, save_as_external_data=True, location="w.data", size_threshold=0
    )
    (tmp_path / "twins").mkdir()
    twins = [tmp_path / "twins" / name for name in ("a.onnx", "b.onnx")]
    for path, twin in zip((source, split), twins, strict=True):
        convert_file(path, twin, "float16")
    rng = np.random.default_rng(0)
    inputs = {"tokens": rng.integers(0, VOCABULARY, (2, TOKENS)), "labels": np.array([0, 1])}
    want, got = (make_backend("onnxruntime", 1).load(twin).run(inputs) for twin in twins)
    np.testing.assert_array_equal(got["logits"], want["logits"])
