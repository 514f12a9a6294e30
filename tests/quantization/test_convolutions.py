import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ir = pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.quantization.convolutions import CHANNEL_MARGIN, MARGIN, measure_ranges
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
    assert set(ranges) == {"h", "y"}
    everything = np.concatenate([probe["x"] for probe in probes])
    into, _ = ranges["h"]
    assert (into.low, into.high) == (everything.min(), everything.max())
    results = OnnxRuntime(1).load(path).run({"x": everything})["y"]
    _, out = ranges["y"]
    np.testing.assert_allclose(out.low, results.min(axis=(0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(out.high, results.max(axis=(0, 2, 3)), rtol=1e-4)


def test_integers_give_nearly_what_floats_give(path):
    x = images(4)
    expected = run(ir.load(path), x, path.parent)
    got = run(quantized(path, x), x, path.parent)
    error = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    # Four roundings to 255 steps of ranges of about 12 deviations: 2 * 12 / 255 / sqrt(12).
    assert 1e-3 < error < 4e-2


def test_weights_of_small_channels_are_as_exact_as_those_of_large_ones(path):
    stored = quantized(path, images(1)).graph.initializers
    weight = make_weights(False)["up.0.conv.weight"]
    integers = stored["up.0.conv.weight.int8"].const_value.numpy()
    assert np.abs(integers).max(axis=(1, 2, 3)).tolist() == [127] * CHANNELS
    wide = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    assert np.all(np.abs(integers * wide - weight) <= wide / 2 * 1.001)
    assert "up.0.conv.weight" not in stored


def test_small_channels_come_out_as_exact_as_large_ones(path):
    original = ir.load(path)
    x, expected = images(4), {}
    for name, model in (("float", original), ("int8", quantized(path, x))):
        proto = ir.to_proto(model)
        proto.graph.output.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, None))
        expected[name] = OnnxRuntime(1).load_model(proto, path.parent).run({"x": x})["h"].copy()
    error = np.sqrt(np.mean((expected["int8"] - expected["float"]) ** 2, axis=(0, 2, 3)))
    # Without a bias, the largest entries are a hundred times apart.
    assert (error / np.abs(expected["float"]).max(axis=(0, 2, 3))).max() < 8e-3


def test_a_channel_without_weights_keeps_its_bias(tmp_path):
    path, bias = save(tmp_path), make_weights(True)["bias"]
    channel = int(bias.argmax())
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name == "up.1.conv.weight":
            array = numpy_helper.to_array(tensor).copy()
            array[channel] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, path)
    x = images(2)
    got = run(quantized(path, x), x, tmp_path)[:, channel]
    np.testing.assert_allclose(got, bias[channel], rtol=1e-2)


def test_an_image_does_not_depend_on_its_neighbours(path):
    x = images(4)
    model = quantized(path, x)
    # One far beyond the ranges, which must not widen those of the others.
    x[0] *= 100
    together = run(model, x, path.parent)
    np.testing.assert_array_equal(together[2:3], run(model, x[2:3], path.parent))


def test_what_is_just_beyond_the_range_is_not_cut(path):
    x = images(1)
    stored = quantized(path, x).graph.initializers

    def check(name, values, axes, margin):
        steps = stored[f"{name}.step"].const_value.numpy()
        zeros = stored[f"{name}.zero"].const_value.numpy().astype(float)
        least, largest = values.min(axis=axes), values.max(axis=axes)
        more = margin * (largest - least)
        least, largest = np.minimum(least - more, 0), np.maximum(largest + more, 0)
        np.testing.assert_allclose(-zeros * steps, least, atol=steps.max())
        np.testing.assert_allclose((255 - zeros) * steps, largest, atol=steps.max())

    check("h.in", x, None, MARGIN)
    check("y.out", run(ir.load(path), x, path.parent), (0, 2, 3), CHANNEL_MARGIN)


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
