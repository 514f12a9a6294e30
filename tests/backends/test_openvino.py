import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from adagen_rt import load
from adagen_rt.backends import make_backend, openvino
from adagen_rt.errors import DeviceError, EngineError, InputError, MissingExtraError


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


@pytest.fixture
def fast(tiny_engine):
    """A pipeline in bfloat16, where the processor has it."""
    try:
        return load(tiny_engine, backend="openvino", threads=1, precision="bf16")
    except DeviceError:
        pytest.skip("this processor has no bfloat16")


def test_the_backbone_alone_is_in_bfloat16(fast, tiny_engine):
    """Every graph is given what it was given in float32."""
    plain = load(tiny_engine, backend="openvino", threads=1).sampler.assembly.sessions
    given, computed = {}, {}

    class Keeping:
        def __init__(self, name):
            self.name = name

        def run(self, inputs):
            given.setdefault(self.name, {name: np.array(x) for name, x in inputs.items()})
            return plain_runs[self.name](inputs)

    plain_runs = {name: session.run for name, session in plain.items()}
    pipeline = load(tiny_engine, backend="openvino", threads=1)
    sessions = pipeline.sampler.assembly.sessions
    for name in sessions:
        sessions[name] = Keeping(name)
    pipeline.generate([0, 1, 2], [3, 4, 5])
    assert {"backbone", "policy", "decoder"} <= given.keys()
    for name, inputs in given.items():
        fast_outputs = fast.sampler.assembly.sessions[name].run(inputs)
        computed[name] = max(
            np.abs(values - plain_runs[name](inputs)[output]).max()
            for output, values in fast_outputs.items()
        )
    assert {name for name, error in computed.items() if error > 1e-4} == {"backbone"}


def save_embedding(path):
    """Write a graph of two embedded times (R, 4), in radians, with the other input's sum."""
    make, value = helper.make_node, helper.make_tensor_value_info
    constants = {"speed": np.float32([1000, 997]), "weight": np.eye(4, dtype=np.float32)}
    graph = helper.make_graph(
        [
            make("Mul", ["t", "speed"], ["phase"]),
            make("Cos", ["phase"], ["cos"]),
            make("Sin", ["phase"], ["sin"]),
            make("Concat", ["cos", "sin"], ["waves"], axis=1),
            make("MatMul", ["waves", "weight"], ["mixed"]),
            make("Add", ["mixed", "x"], ["y"]),
        ],
        "g",
        [value("x", TensorProto.FLOAT, ["R", 4]), value("t", TensorProto.FLOAT, ["R", 1])],
        [value("y", TensorProto.FLOAT, ["R", 4])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, ir_version=10, opset_imports=opset), path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_phases_are_float32_in_any_precision(precision, tmp_path, monkeypatch):
    path = tmp_path / "embedding.onnx"
    save_embedding(path)
    # Elsewhere the hint is ignored, but the model is parted all the same.
    monkeypatch.setattr(openvino, "list_precisions", lambda core: ("fp32", "bf16"))
    graph = make_backend("openvino", 1, None, precision).load(path)
    for rows in (3, 1):
        t = np.random.default_rng(rows).uniform(size=(rows, 1)).astype(np.float32)
        phase = t * np.float32([1000, 997])
        x = np.ones((rows, 4), np.float32)
        expected = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) + x
        np.testing.assert_allclose(graph.run({"x": x, "t": t})["y"], expected, atol=2e-2)


def test_what_was_made_in_bfloat16_says_so(fast, tiny_engine):
    assert fast.generate([0], [1]).origin.facts["precision"] == "bf16"
    assert fast.facts()["precision"] == "bf16"
    plain = load(tiny_engine, backend="openvino", threads=1)
    assert "precision" not in plain.generate([0], [1]).origin.facts


def test_a_processor_without_bfloat16_is_told(monkeypatch):
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda core, device, name: ["FP32", "INT8"])
    with pytest.raises(DeviceError, match="precision: got bf16, expected fp32: this processor"):
        make_backend("openvino", 1, None, "bf16")
    make_backend("openvino", 1)


@pytest.mark.parametrize(
    ("backend", "precision", "told"),
    [
        ("onnxruntime", "bf16", "expected fp32 with the backend onnxruntime; openvino has bf16"),
        ("openvino", "fp8", "expected one of fp32, bf16"),
        ("torch", "bf16", "expected none with the backend torch"),
    ],
)
def test_who_has_no_such_precision_says_so(tiny_engine, backend, precision, told):
    with pytest.raises(InputError, match=f"precision: got '{precision}', {told}"):
        load(tiny_engine, backend=backend, precision=precision)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "backbone.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"backbone\.onnx: OpenVINO cannot load it"):
        make_backend("openvino", 1).load(path)
