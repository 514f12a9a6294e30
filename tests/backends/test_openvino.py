import sys

import numpy as np
import pytest

from adagen_rt import load
from adagen_rt.backends import make_backend
from adagen_rt.errors import EngineError, MissingExtraError


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[openvino\]"):
        make_backend("openvino", 1)


@pytest.fixture(scope="module", autouse=True)
def _installed(request):
    if "extra_is_named" not in request.node.name:
        pytest.importorskip("openvino", reason="needs the extra openvino")


@pytest.mark.parametrize("engine", ["fashion-maskgit", "fashion-dit", "fashion-sit", "fashion-var"])
def test_images_are_those_of_onnx_runtime(engine):
    """All of VAR's scales included, whose shapes it must not mix up."""
    labels, seeds = [0, 3, 8], [5, 6, 7]
    one, other = (
        load(engine, backend=backend, threads=2).generate(labels, seeds).images.astype(int)
        for backend in ("onnxruntime", "openvino")
    )
    assert np.abs(one - other).max() <= 1


def test_a_second_batch_of_another_size_is_right_too():
    pipeline = load("fashion-var", backend="openvino", threads=1)
    first = pipeline.generate([1, 2], [3, 4]).images
    pipeline.generate([5], [6])
    np.testing.assert_array_equal(pipeline.generate([1, 2], [3, 4]).images, first)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "backbone.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"backbone\.onnx: OpenVINO cannot load it"):
        make_backend("openvino", 1).load(path)
