"""ONNX graphs as PyTorch modules."""

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch")

from onnx import TensorProto, helper
from short_form import slow

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.backends.tensorrt.profiles import graph_profiles
from adagen_rt.backends.torch import onnx_module
from adagen_rt.backends.torch.onnx_module import OPERATORS, OnnxModule
from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.errors import EngineError

BATCH = 2


def graphs_of(engine):
    """Name, module and the last shapes of every graph."""
    for name in engine.manifest.graphs:
        module = OnnxModule(engine.graph_file(name))
        yield name, module, graph_profiles(engine.manifest, name, [BATCH])[-1]


def draw(engine, name, shapes):
    """Inputs of a graph: small whole numbers, and normal ones."""
    draw = np.random.default_rng(0)
    inputs = {}
    for tensor in engine.manifest.graphs[name].inputs:
        shape = shapes[tensor.name]
        if tensor.dtype == "int64":
            inputs[tensor.name] = draw.integers(0, 3, shape)
        else:
            inputs[tensor.name] = draw.normal(size=shape).astype(tensor.dtype)
    return inputs


def assert_alike(engine, tolerance):
    """Every graph gives what ONNX Runtime gives, within a share of the largest number."""
    runtime = OnnxRuntime(threads=1)
    for graph, module, shapes in graphs_of(engine):
        inputs = draw(engine, graph, shapes)
        expected = runtime.load(engine.graph_file(graph)).run(inputs)
        results = module(**{key: torch.from_numpy(value) for key, value in inputs.items()})
        for value, result in zip(expected.values(), results, strict=True):
            assert str(result.dtype) == f"torch.{value.dtype}"
            difference = np.abs(result.float().numpy() - value.astype(np.float32)).max()
            assert difference <= tolerance * np.abs(value).max(), graph


@pytest.mark.parametrize("name", shipped_engines())
def test_every_graph_computes_what_onnx_runtime_does(name):
    assert_alike(open_engine(name), 1e-4)


@pytest.mark.parametrize("family", ["dit", *slow("maskgit", "var", "sit")])
def test_half_precision_computes_what_onnx_runtime_does(family, exported):
    assert_alike(exported(family, dtype="float16"), 1e-2)


@pytest.fixture
def strict(monkeypatch):
    """Operators refuse inputs that lie on several devices, but for those that are read."""

    def checked(operator, name):
        def run(attributes, *inputs):
            seen = inputs[:1] if name in onnx_module.SIZED else inputs
            assert len({value.device for value in seen if value is not None}) == 1, name
            return operator(attributes, *inputs)

        return run

    for name, operator in OPERATORS.items():
        monkeypatch.setitem(OPERATORS, name, checked(operator, name))


@pytest.mark.parametrize("name", shipped_engines())
def test_nothing_is_read_from_the_device_or_brought_there(name, strict):
    """What is on the meta device has no values, and a wait for one is an error."""
    engine = open_engine(name)
    for graph, module, shapes in graphs_of(engine):
        spec = engine.manifest.graphs[graph]
        inputs = {
            t.name: torch.empty(shapes[t.name], dtype=getattr(torch, t.dtype), device="meta")
            for t in spec.inputs
        }
        for result in module.to("meta")(**inputs):
            assert result.device.type == "meta", graph


def save(folder, nodes, initializers=()):
    """A graph from ``x`` (2,) to ``y``."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "g", [given], [made], initializers)
    onnx.save(helper.make_model(graph), folder / "g.onnx")
    return folder / "g.onnx"


def test_an_operator_that_is_not_covered_is_named(tmp_path):
    path = save(tmp_path, [helper.make_node("Erf", ["x"], ["y"])])
    with pytest.raises(
        EngineError, match=r"g\.onnx: PyTorch runs no operators Erf; take an engine"
    ):
        OnnxModule(path)


@pytest.mark.parametrize("dtype", ["FLOAT16", "BFLOAT16"])
def test_half_precision_is_read_and_cast(tmp_path, dtype):
    kind = getattr(TensorProto, dtype)
    nodes = [
        helper.make_node("Cast", ["x"], ["half"], to=kind),
        helper.make_node("Mul", ["half", "w"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=TensorProto.FLOAT),
    ]
    path = save(tmp_path, nodes, [helper.make_tensor("w", kind, [2], [1.5, -2.0])])
    (result,) = OnnxModule(path)(x=torch.tensor([3.0, 0.25]))
    assert result.dtype == torch.float32
    assert result.tolist() == [4.5, -0.5]


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_becomes_space_in_both_orders(tmp_path, mode):
    node = helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2, mode=mode)
    assert_one_operator(tmp_path, node, np.arange(2 * 12 * 6, dtype=np.float32), (2, 12, 2, 3))


def test_places_from_the_end(tmp_path):
    node = helper.make_node("Gather", ["x", "places"], ["y"], axis=1)
    places = onnx.numpy_helper.from_array(np.array([-1, 0, -3]), "places")
    assert_one_operator(tmp_path, node, np.arange(12, dtype=np.float32), (2, 3, 2), places)


def test_a_cast_of_weights_is_made_once(tmp_path):
    half = onnx.numpy_helper.from_array(np.full(3, 0.5, np.float16), "half")
    cast = helper.make_node("Cast", ["half"], ["whole"], to=TensorProto.FLOAT)
    add = helper.make_node("Add", ["x", "whole"], ["y"])
    path = save_nodes(tmp_path, [cast, add], (2, 3), half)
    module = OnnxModule(path)
    assert [buffer.dtype for buffer in module.buffers()] == [torch.float32]
    assert module(x=torch.zeros(2, 3))[0].tolist() == [[0.5] * 3] * 2


def save_nodes(folder, nodes, shape, *constants):
    """A graph from x to y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "one", [x], [y], list(constants))
    opset = helper.make_opsetid("", 20)
    path = folder / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def assert_one_operator(folder, node, numbers, shape, *constants):
    """It gives what ONNX Runtime gives."""
    path, x = save_nodes(folder, [node], shape, *constants), numbers.reshape(shape)
    (expected,) = OnnxRuntime(threads=1).load(path).run({"x": x}).values()
    (result,) = OnnxModule(path)(x=torch.from_numpy(x))
    np.testing.assert_array_equal(result.numpy(), expected)
