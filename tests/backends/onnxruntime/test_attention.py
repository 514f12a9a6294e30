"""Attention as one operator, against the same in NumPy and against the graph as it was."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from adagen_rt.backends.onnxruntime.attention import fuse_attention
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.folder import open_engine

HEADS, WIDTH, TOKENS = 3, 8, 10
ALL = HEADS * WIDTH
FACTOR = np.float32(WIDTH**-0.25)


def make_model(order=(0, 1, 2), views=1):
    """Self-attention as it is exported; values of a second of the ``views`` are of other rows."""
    constants = {
        "shape": np.array([-1, TOKENS, 3, HEADS, WIDTH]),
        "flat": np.array([-1, WIDTH, TOKENS]),
        "lines": np.array([-1, TOKENS, WIDTH]),
        "turned": np.array([-1, HEADS, WIDTH, TOKENS]),
        "merged": np.array([-1, TOKENS, ALL]),
        "factor": FACTOR,
        **{str(i): np.array([i]) for i in range(4)},
    }
    node = helper.make_node
    nodes = [node("Neg", ["x"], ["rows"])] + [
        made
        for view in range(views)
        for made in (
            node("Reshape", ["rows" if view == 0 else "x", "shape"], [f"view{view}"]),
            node("Transpose", [f"view{view}"], [f"apart{view}"], perm=[2, 0, 3, 1, 4]),
        )
    ]
    for name, third in zip("qkv", order, strict=True):
        apart = f"apart{views - 1 if name == 'v' else 0}"
        nodes += [
            node("Slice", [apart, str(third), str(third + 1), "0"], [name + "1"]),
            node("Squeeze", [name + "1", "0"], [name]),
        ]
    nodes += [
        node("Reshape", ["k", "lines"], ["k2"]),
        node("Transpose", ["k2"], ["k3"], perm=[0, 2, 1]),
        node("Reshape", ["k3", "turned"], ["k4"]),
        node("Mul", ["q", "factor"], ["q5"]),
        node("Mul", ["k4", "factor"], ["k5"]),
        node("MatMul", ["q5", "k5"], ["scores"]),
        node("Softmax", ["scores"], ["shares"], axis=-1),
        node("MatMul", ["shares", "v"], ["mixed"]),
        node("Transpose", ["mixed"], ["back"], perm=[0, 2, 1, 3]),
        node("Reshape", ["back", "merged"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["R", TOKENS, 3 * ALL])],
        [value("y", TensorProto.FLOAT, ["R", TOKENS, ALL])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def by_the_rule(x, order=(0, 1, 2)):
    thirds = -x.astype(np.float64).reshape(-1, TOKENS, 3, HEADS, WIDTH).transpose(2, 0, 3, 1, 4)
    query, key, value = (thirds[third] for third in order)
    scores = np.exp(query @ key.swapaxes(2, 3) * WIDTH**-0.5)
    mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
    return mixed.transpose(0, 2, 1, 3).reshape(-1, TOKENS, ALL)


def rows(count, seed=0):
    shape = (count, TOKENS, 3 * ALL)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_attention_becomes_one_operator_and_follows_the_rule(tmp_path):
    model = make_model()
    assert fuse_attention(model)
    assert operators(model) == ["Neg", "Split", "MultiHeadAttention"]
    x = rows(2)
    got = OnnxRuntime(1).load_model(model, tmp_path).run({"x": x})["y"]
    np.testing.assert_allclose(got, by_the_rule(x), rtol=1e-5, atol=1e-6)


def test_a_row_has_the_same_bits_alone_and_beside_others(tmp_path):
    graph, x = OnnxRuntime(1).load_model(make_model(), tmp_path), rows(5)
    together = graph.run({"x": x})["y"].copy()
    for row in range(len(x)):
        np.testing.assert_array_equal(graph.run({"x": x[row : row + 1]})["y"][0], together[row])


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (0, 1, 1)])
def test_thirds_in_another_order_are_left_alone(order, tmp_path):
    model = make_model(order)
    before = model.SerializeToString()
    assert not fuse_attention(model)
    assert model.SerializeToString() == before
    x = rows(2)
    got = OnnxRuntime(1).load_model(model, tmp_path).run({"x": x})["y"]
    np.testing.assert_allclose(got, by_the_rule(x, order), rtol=1e-5, atol=1e-6)


def test_values_of_other_rows_are_left_alone():
    assert not fuse_attention(make_model(views=2))


@pytest.mark.parametrize(
    ("op", "changes"),
    [
        ("Softmax", {"axis": 2}),
        ("Transpose", {"perm": [0, 1, 2, 3]}),
        ("Transpose", {"perm": [0, 1, 2]}),
        ("Transpose", {"perm": [2, 0, 1, 3, 4]}),
    ],
)
def test_another_order_of_axes_is_left_alone(op, changes):
    model = make_model()
    (name,) = changes
    for node in model.graph.node:
        for attribute in node.attribute:
            alike = name == "axis" or len(attribute.ints) == len(changes[name])
            if node.op_type == op and attribute.name == name and alike:
                attribute.CopyFrom(helper.make_attribute(name, changes[name]))
    assert not fuse_attention(model)


def test_a_graph_of_an_opset_that_cannot_say_it_is_left_alone():
    model = make_model()
    model.opset_import[0].version = 17
    assert not fuse_attention(model)


@pytest.mark.parametrize("name", ["shape", "factor", "merged", "0", "1"])
def test_what_is_not_constant_is_left_alone(name):
    model = make_model()
    kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    assert not fuse_attention(model)


@pytest.mark.parametrize("shape", [[-1, ALL], [-1, HEADS * TOKENS, WIDTH], [-1, 1, TOKENS, ALL]])
def test_another_shape_of_the_result_is_left_alone(shape, tmp_path):
    model, x = make_model(), rows(2)
    for tensor in model.graph.initializer:
        if tensor.name == "merged":
            tensor.CopyFrom(numpy_helper.from_array(np.array(shape), "merged"))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    assert not fuse_attention(model)
    got = OnnxRuntime(1).load_model(model, tmp_path).run({"x": x})["y"]
    np.testing.assert_allclose(got, by_the_rule(x).reshape(shape), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["scores", "shares", "mixed"])
def test_what_is_read_elsewhere_is_left_alone(name):
    model = make_model()
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list("RHNM")))
    assert fuse_attention(model) == (name == "scores")
    onnx.checker.check_model(model)
    made = {output for node in model.graph.node for output in node.output}
    assert name in made


@pytest.mark.parametrize("engine", ["fashion-maskgit", "fashion-dit", "emoji-sit"])
def test_every_attention_of_shipped_backbones_is_found(engine):
    model = onnx.load(open_engine(engine).graph_file("backbone"))
    blocks = operators(model).count("Softmax")
    assert fuse_attention(model)
    assert operators(model).count("MultiHeadAttention") == blocks > 3
    assert "Softmax" not in operators(model)


def test_what_a_branch_reads_stays(tmp_path):
    """The branches read the scores, which no node of the graph itself seems to need."""
    model, value = make_model(), helper.make_tensor_value_info
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["scores"], [name])],
            name,
            [],
            [value(name, TensorProto.FLOAT, ["R", HEADS, TOKENS, TOKENS])],
        )
        for name, op in (("then", "Neg"), ("else", "Identity"))
    }
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(helper.make_node("If", ["yes"], ["z"], **branches))
    model.graph.output.append(value("z", TensorProto.FLOAT, ["R", HEADS, TOKENS, TOKENS]))
    assert not fuse_attention(model)
    got = OnnxRuntime(1).load_model(model, tmp_path).run({"x": rows(2)})
    np.testing.assert_allclose(got["y"], by_the_rule(rows(2)), rtol=1e-5, atol=1e-6)
    assert got["z"].shape == (2, HEADS, TOKENS, TOKENS)
