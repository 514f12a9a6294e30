import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ir = pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.backends.onnxruntime import OnnxRuntime
from adagen_rt.quantization.convolutions import MARGIN, measure_ranges
from adagen_rt.quantization.layers import layer_kinds, quantize_layers

CHANNELS, SIZE = 32, 10


def make_weights(bias):
    rng = np.random.default_rng(0)
    weights = {
        f"up.{number}.conv.weight": rng.normal(0, 0.1, (CHANNELS, CHANNELS, 3, 3))
        for number in range(2)
    }
    # Channels of very different sizes need scales of their own.
    weights["up.0.conv.weight"] *= np.geomspace(0.01, 1, CHANNELS)[:, None, None, None]
    if bias:
        weights["bias"] = rng.normal(size=CHANNELS)
    return weights


def convolution(source, number, result, bias):
    inputs = [source, f"up.{number}.conv.weight", *(["bias"] if bias else [])]
    return helper.make_node("Conv", inputs, [result], pads=[1] * 4)


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, CHANNELS, SIZE, SIZE)).astype(np.float32)


def save(folder, bias=True):
    """Two convolutions, one right after the other."""
    shape = ["rows", CHANNELS, SIZE, SIZE]
    graph = helper.make_graph(
        [convolution("x", 0, "h", bias), convolution("h", 1, "y", bias)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in make_weights(bias).items()
        ],
    )
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, folder / "decoder.onnx")
    return folder / "decoder.onnx"


@pytest.fixture(params=[True, False], ids=["bias", "no bias"])
def path(request, tmp_path):
    return save(tmp_path, request.param)


def quantized(path, probe):
    runtime, model = OnnxRuntime(1), ir.load(path)
    ranges = measure_ranges(path, [{"x": probe}], runtime)
    quantize_layers(model, layer_kinds(model, ranges), ranges)
    return model


def run(model, x, folder):
    return OnnxRuntime(1).load_model(ir.to_proto(model), folder).run({"x": x})["y"].copy()


def test_ranges_are_those_of_all_probes(path):
    probes = [{"x": images(2, seed)} for seed in (1, 2)]
    ranges = measure_ranges(path, probes, OnnxRuntime(1))
    assert set(ranges) == {"x", "h", "y"}
    everything = np.concatenate([probe["x"] for probe in probes])
    assert ranges["x"] == (everything.min(), everything.max())
    results = OnnxRuntime(1).load(path).run({"x": everything})["y"]
    assert ranges["y"] == pytest.approx((results.min(), results.max()), rel=1e-5)


def test_integers_give_nearly_what_floats_give(path):
    x = images(4)
    expected = run(ir.load(path), x, path.parent)
    got = run(quantized(path, x), x, path.parent)
    error = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    assert 1e-3 < error < 3e-2


def test_small_channels_are_as_exact_as_large_ones(path):
    stored = quantized(path, images(1)).graph.initializers
    weight = make_weights(False)["up.0.conv.weight"]
    integers = stored["up.0.conv.weight.int8"].const_value.numpy()
    scales = stored["up.0.conv.weight.scale"].const_value.numpy()
    assert np.abs(integers).max(axis=(1, 2, 3)).tolist() == [127] * CHANNELS
    wide = scales[:, None, None, None]
    assert np.all(np.abs(integers * wide - weight) <= wide / 2 * 1.001)
    assert "up.0.conv.weight" not in stored


def test_an_image_does_not_depend_on_its_neighbours(path):
    x = images(4)
    model = quantized(path, x)
    # One far beyond the ranges, which must not widen those of the others.
    x[0] *= 100
    together = run(model, x, path.parent)
    np.testing.assert_array_equal(together[2:3], run(model, x[2:3], path.parent))


def test_what_is_just_beyond_the_range_is_not_cut(path):
    x = images(1)
    model = quantized(path, x)
    width = x.max() - x.min()
    steps = model.graph.initializers["x.step"].const_value.numpy()
    zero = model.graph.initializers["x.zero"].const_value.numpy()
    low, high = (-zero.astype(float)) * steps, (255.0 - zero) * steps
    assert low == pytest.approx(x.min() - MARGIN * width, abs=float(steps))
    assert high == pytest.approx(x.max() + MARGIN * width, abs=float(steps))


def test_the_runtime_computes_in_integers(path, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    proto = ir.to_proto(quantized(path, images(1))).SerializeToString()
    runtime.InferenceSession(proto, options, providers=["CPUExecutionProvider"])
    ops = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert ops.count("QLinearConv") == 2
    assert "Conv" not in ops


def test_without_ranges_convolutions_stay(path):
    model = ir.load(path)
    assert layer_kinds(model, {}) == {}
    assert list(layer_kinds(model, {"x": (0, 1)})) == ["up.*.conv"]
