import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ir = pytest.importorskip("onnx_ir", reason="needs the extra int8")

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.quantization.layers import layer_kinds, quantize_layers
from adagen_rt.quantization.weights import count_entries, find_outliers

INPUTS, OUTPUTS = 80, 96


def make_model(nodes, weights):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", INPUTS])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", OUTPUTS])],
        [numpy_helper.from_array(array.astype(np.float32), k) for k, array in weights.items()],
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    return ir.from_proto(proto)


def product(name="blocks.3.fc.weight"):
    weight = np.random.default_rng(0).normal(size=(INPUTS, OUTPUTS))
    return make_model([helper.make_node("MatMul", ["x", name], ["y"])], {name: weight})


def layer(**attributes):
    rng = np.random.default_rng(1)
    node = helper.make_node("Gemm", ["x", "w.weight", "b"], ["y"], transB=1, **attributes)
    weights = {"w.weight": rng.normal(size=(OUTPUTS, INPUTS)), "b": rng.normal(size=OUTPUTS)}
    return make_model([node], weights)


def run(model, x, tmp_path):
    return OnnxRuntime(1).load_model(ir.to_proto(model), tmp_path).run({"x": x})["y"].copy()


@pytest.mark.parametrize("make", [product, layer])
def test_integers_give_nearly_what_floats_give(make, tmp_path):
    x = np.random.default_rng(2).normal(size=(5, INPUTS)).astype(np.float32)
    expected = run(make(), x, tmp_path)
    model = make()
    quantize_layers(model, layer_kinds(model, {}), {})
    got = run(model, x, tmp_path)
    error = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    assert 1e-3 < error < 1.5e-2


@pytest.mark.parametrize("make", [product, layer])
def test_what_is_stored_is_a_column_s_largest_entry_over_127(make):
    model = make()
    floats = next(v for v in model.graph.initializers.values() if v.name.endswith("weight"))
    weight = floats.const_value.numpy()
    weight = weight.T if make is layer else weight
    quantize_layers(model, layer_kinds(model, {}), {})
    stored = {name: v.const_value.numpy() for name, v in model.graph.initializers.items()}
    integers, scales = (
        next(array for name, array in stored.items() if name.endswith(end))
        for end in (".int8", ".scale")
    )
    assert integers.dtype == np.int8
    np.testing.assert_allclose(scales, np.abs(weight).max(axis=0) / 127, rtol=1e-6)
    assert np.all(np.abs(integers * scales - weight) <= scales / 2 * 1.001)
    assert not any(name.endswith("weight") for name in stored)


def test_kinds_are_names_without_the_numbers_of_blocks():
    assert list(layer_kinds(product("module.module.blocks.3.fc.weight.transpose.v"), {})) == [
        "blocks.*.fc"
    ]
    (nodes,) = layer_kinds(product(), {}).values()
    assert count_entries(nodes) == INPUTS * OUTPUTS


@pytest.mark.parametrize("attributes", [{"alpha": 0.5}, {"beta": 2.0}])
def test_other_gemms_than_linear_layers_stay(attributes):
    assert not layer_kinds(layer(**attributes), {})


def test_only_the_kinds_that_are_named_change():
    model = product()
    quantize_layers(model, ["another"], {})
    assert [node.op_type for node in model.graph] == ["MatMul"]


def test_a_column_of_zeros_stays_zero(tmp_path):
    model = product()
    weight = next(iter(model.graph.initializers.values()))
    array = weight.const_value.numpy().copy()
    array[:, 7] = 0
    weight.const_value = ir.tensor(array)
    quantize_layers(model, layer_kinds(model, {}), {})
    got = run(model, np.ones((2, INPUTS), np.float32), tmp_path)
    assert np.all(got[:, 7] == 0)
    assert np.all(np.isfinite(got))


def with_outlier(make, factor):
    """The same layer, with the weights of input 7 far larger than all others."""
    model = make()
    weight = next(v for v in model.graph.initializers.values() if v.name.endswith("weight"))
    array = weight.const_value.numpy().copy()
    (array.T if make is layer else array)[7] *= factor
    weight.const_value = ir.tensor(array)
    return model


@pytest.mark.parametrize("make", [product, layer])
def test_an_input_whose_weights_stick_out_stays_float(make, tmp_path):
    x = np.random.default_rng(2).normal(size=(5, INPUTS)).astype(np.float32)
    x[:, 7] *= 1e-2
    expected = run(with_outlier(make, 300), x, tmp_path)
    model = with_outlier(make, 300)
    quantize_layers(model, layer_kinds(model, {}), {})
    got = run(model, x, tmp_path)
    error = np.sqrt(np.mean((got - expected) ** 2)) / expected.std()
    assert 1e-3 < error < 1.5e-2  # in integers all others would be rounded to 0
    floats = next(v for v in model.graph.initializers.values() if v.name.endswith(".float"))
    assert list(floats.const_value.shape) == [1, OUTPUTS]
    onnx.checker.check_model(ir.to_proto(model), full_check=True)


@pytest.mark.parametrize(("factor", "count"), [(1, 0), (3, 0), (300, 1)])
def test_few_inputs_stick_out(factor, count):
    model = with_outlier(product, factor)
    (weight,) = model.graph.initializers.values()
    assert len(find_outliers(weight)) == count
    array = weight.const_value.numpy().copy()
    array[:10] *= 300
    weight.const_value = ir.tensor(array)
    assert len(find_outliers(weight)) == 0  # an eighth of all


def test_the_result_is_standard_onnx():
    model = product()
    quantize_layers(model, layer_kinds(model, {}), {})
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
