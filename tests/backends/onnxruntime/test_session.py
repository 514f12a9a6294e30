import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnxruntime as runtime
import pytest
from onnx import TensorProto, helper
from tiny_engine import CLASSES, TOKENS, VOCABULARY

from adagen_rt import system
from adagen_rt.backends import make_backend
from adagen_rt.backends.onnxruntime import session
from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.errors import AdagenError, EngineError, InputError, MissingExtraError


def pretend_installed(monkeypatch, *packages):
    def version(name):
        if name not in packages:
            raise metadata.PackageNotFoundError(name)
        return "1.20.0"

    monkeypatch.setattr(system.metadata, "version", version)


@pytest.fixture
def graph(tiny_engine):
    return make_backend("onnxruntime", 1).load(tiny_engine / "backbone.onnx")


def inputs(rows, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "tokens": rng.integers(0, VOCABULARY + 1, (rows, TOKENS)),
        "labels": rng.integers(0, len(CLASSES) + 1, rows),
    }


def test_outputs_have_names_and_shapes(graph):
    outputs = graph.run(inputs(3))
    assert outputs["logits"].shape == (3, TOKENS, VOCABULARY)
    assert set(outputs) == {"logits", "features"}


def test_batches_may_shrink_and_grow(graph):
    expected = {rows: graph.run(inputs(rows, rows))["logits"].copy() for rows in (2, 5, 1)}
    for rows in (5, 1, 2, 5, 2, 1):
        np.testing.assert_array_equal(graph.run(inputs(rows, rows))["logits"], expected[rows])


def test_later_calls_reuse_the_buffers(graph):
    graph.run(inputs(4))
    addresses = {graph.run(inputs(4, seed))["logits"].ctypes.data for seed in range(3)}
    assert len(addresses) == 1


def test_inputs_need_not_be_contiguous(graph):
    given = inputs(4)
    strided = {name: np.repeat(array, 2, axis=0)[::2] for name, array in given.items()}
    expected = graph.run(given)["logits"].copy()
    np.testing.assert_array_equal(graph.run(strided)["logits"], expected)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "backbone.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"backbone\.onnx"):
        make_backend("onnxruntime", 1).load(path)


def test_an_unknown_backend_is_refused():
    with pytest.raises(InputError, match="backend: got 'abacus', expected one of onnxruntime"):
        make_backend("abacus", 1)


def test_a_missing_package_names_the_extra(monkeypatch):
    pretend_installed(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"adagen-rt\[cpu\]"):
        make_backend("onnxruntime", 1)


def test_two_packages_at_once_say_what_to_type(monkeypatch):
    pretend_installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(AdagenError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        make_backend("onnxruntime", 1)


def test_the_gpu_package_alone_is_enough(monkeypatch):
    pretend_installed(monkeypatch, "onnxruntime-gpu")
    assert session.import_onnxruntime() is sys.modules["onnxruntime"]


@pytest.mark.parametrize(("sizes", "planned"), [(["rows", 4], True), (["rows", "tokens"], False)])
def test_memory_is_planned_unless_more_than_the_batch_changes(monkeypatch, sizes, planned):
    made = []

    class Options(runtime.SessionOptions):
        def __init__(self):
            super().__init__()
            made.append(self)

    backend = make_backend("onnxruntime", 1)
    monkeypatch.setattr(runtime, "SessionOptions", Options)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in "xy"]
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    model = helper.make_model(helper.make_graph(nodes, "neg", ports[:1], ports[1:]), ir_version=10)
    backend.load_model(model, Path())
    assert [options.enable_mem_pattern for options in made] == [planned]


@pytest.mark.parametrize(
    ("rows", "shrinking"),
    [
        ((2, 3, 2, 3), (True, True, False, False)),
        ((8, 4, 8, 4, 5, 8), (True, True, False, True, True, False)),
        ((8, 1, 8, 1, 1), (True, True, False, True, False)),
    ],
)
def test_memory_is_given_back_after_a_new_shape_and_after_half_the_rows(
    tiny_engine, monkeypatch, rows, shrinking
):
    graph, given = OnnxRuntime(1).load(tiny_engine / "backbone.onnx"), []
    run = graph._session.run_with_iobinding
    monkeypatch.setattr(
        graph._session,
        "run_with_iobinding",
        lambda binding, options=None: given.append(options) or run(binding, options),
    )
    for count in rows:
        assert graph.run(inputs(count))["logits"].shape[0] == count
        assert graph._buffers._buffers["logits"].size >= count * TOKENS * VOCABULARY
    key = "memory.enable_memory_arena_shrinkage"
    assert tuple(bool(one and one.get_run_config_entry(key)) for one in given) == shrinking
    assert graph._buffers._buffers["logits"].size < 2 * max(rows[-2:]) * TOKENS * VOCABULARY


@pytest.mark.parametrize("vnni", [True, False])
def test_bytes_are_multiplied_without_overflow_where_there_is_no_vnni(monkeypatch, vnni):
    monkeypatch.setattr(session, "has_vnni", lambda: vnni)
    options = OnnxRuntime(1)._options(Path(), 1, 1)
    if vnni:
        with pytest.raises(RuntimeError, match=r"session\.x64quantprecision"):
            options.get_session_config_entry("session.x64quantprecision")
    else:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
