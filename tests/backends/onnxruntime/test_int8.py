"""Integer products, against the rule written out in NumPy."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from adagen_rt.backends.onnxruntime.int8 import integer_products
from adagen_rt.backends.onnxruntime.session import OnnxRuntime

INPUTS, OUTPUTS = 64, 48


def make_model(integer=True):
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.integers(-127, 128, (INPUTS, OUTPUTS)).astype(np.int8),
        "s": rng.uniform(0.01, 0.02, OUTPUTS).astype(np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=1),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
        # A second product of the same rows.
        helper.make_node("MatMul", ["x", "d"], ["z"]),
    ]
    if not integer:
        weights = {"d": weights["w"] * weights["s"]}
        nodes = nodes[1:]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", INPUTS])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["a", "b", OUTPUTS]) for n in "yz"],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def by_the_rule(x):
    tensors = {t.name: numpy_helper.to_array(t) for t in make_model().graph.initializer}
    scale = np.maximum(np.abs(x).max(axis=-1, keepdims=True) * np.float32(1 / 127), 1e-30)
    rows = np.clip(np.rint(x / scale), -128, 127).astype(np.int32)
    return (rows @ tensors["w"].astype(np.int32)) * tensors["s"] * scale


def rows(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=(*shape, INPUTS)).astype(np.float32)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return OnnxRuntime(1).load_model(make_model(), tmp_path_factory.mktemp("g"))


@pytest.mark.parametrize("factor", [1e-6, 1.0, 1e6])
def test_products_follow_the_rule(graph, factor):
    x = rows(3, 5) * np.float32(factor)
    got = graph.run({"x": x})
    np.testing.assert_allclose(got["y"], by_the_rule(x), rtol=1e-5, atol=1e-6 * factor)
    np.testing.assert_array_equal(got["y"], got["z"])


def test_a_row_does_not_depend_on_its_neighbours(graph):
    quiet, loud = rows(1, 4), 1000 * rows(1, 4, seed=2)
    alone = graph.run({"x": quiet})["y"].copy()
    together = graph.run({"x": np.concatenate([loud, quiet, loud])})["y"]
    np.testing.assert_array_equal(together[1:2], alone)


def test_rows_of_zeros_give_zeros(graph):
    x = rows(1, 3)
    x[0, 1] = 0
    got = graph.run({"x": x})["y"]
    assert np.all(got[0, 1] == 0)
    assert np.all(got[0, 2] != 0)


def test_graphs_that_a_newer_opset_would_change_keep_theirs(tmp_path):
    model, x = make_model(), rows(1, 3)
    expected = OnnxRuntime(1).load_model(make_model(), tmp_path).run({"x": x})["y"]
    ones = numpy_helper.from_array(np.ones(1, np.float32), "ones")
    model.graph.initializer.append(ones)
    group = helper.make_node("GroupNormalization", ["y", "ones", "ones"], ["n"], num_groups=1)
    model.graph.node.append(group)
    assert integer_products(model)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [20]
    del model.graph.node[-1]
    got = OnnxRuntime(1).load_model(model, tmp_path).run({"x": x})["y"]
    np.testing.assert_array_equal(got, expected)


def test_rows_that_two_products_share_are_rounded_once():
    model = make_model()
    assert integer_products(model)
    assert [n.op_type for n in model.graph.node].count("QuantizeLinear") == 1
    onnx.checker.check_model(model)


def test_a_graph_without_integer_weights_stays_as_it_is():
    model = make_model(integer=False)
    before = model.SerializeToString()
    assert not integer_products(model)
    assert model.SerializeToString() == before
