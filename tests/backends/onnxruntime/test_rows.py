"""Small graphs whose rows are dealt out to threads."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_engine import CLASSES, TOKENS, VOCABULARY

from adagen_rt.backends.onnxruntime import rows as module
from adagen_rt.backends.onnxruntime import session
from adagen_rt.backends.onnxruntime.rows import PART, RowSession, is_small, parts, split_inputs
from adagen_rt.backends.onnxruntime.session import OnnxRuntime, OnnxSession
from adagen_rt.types import Arrays


def make_model(inputs: dict[str, list], outputs: dict[str, list]) -> onnx.ModelProto:
    def ports(shapes: dict[str, list]) -> list[onnx.ValueInfoProto]:
        made = helper.make_tensor_value_info
        return [made(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    nodes = [helper.make_node("Neg", [next(iter(inputs))], [name]) for name in outputs]
    graph = helper.make_graph(nodes, "g", ports(inputs), ports(outputs))
    return helper.make_model(graph, ir_version=10)


def draw(rows: int) -> Arrays:
    rng = np.random.default_rng(rows)
    return {
        "tokens": rng.integers(0, VOCABULARY + 1, (rows, TOKENS)),
        "labels": rng.integers(0, len(CLASSES) + 1, rows),
    }


@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_every_row_is_dealt_out_once_and_threads_get_as_many(threads):
    for rows in range(1, 40):
        dealt = list(parts(rows, threads))
        assert [row for part in dealt for row in range(rows)[part]] == list(range(rows))
        assert all(0 < part.stop - part.start <= PART for part in dealt)
        turns = -(-len(dealt) // threads)
        busiest = turns * max(part.stop - part.start for part in dealt)
        assert busiest < rows / threads + turns


@pytest.mark.parametrize(
    ("inputs", "outputs", "split"),
    [
        ({"x": ["rows", 4], "t": ["rows"]}, {"y": ["rows", 4]}, {"x", "t"}),
        ({"x": ["rows", 4], "t": [4]}, {"y": ["rows", 4]}, {"x"}),
        ({"x": ["rows", "n"], "t": ["n"]}, {"y": ["rows", "n"]}, {"x"}),
        ({"x": ["rows", 4], "c": [2, "rows"]}, {"y": ["rows", 4]}, set()),
        ({"x": ["rows", 4]}, {"y": ["rows", 4], "z": [4]}, set()),
        ({"x": ["rows", 4]}, {"y": ["rows", "rows"]}, set()),
        ({"x": [2, 4]}, {"y": [2, 4]}, set()),
        ({"x": []}, {"y": []}, set()),
    ],
)
def test_rows_are_parted_only_where_every_output_has_them_first(inputs, outputs, split):
    assert split_inputs(make_model(inputs, outputs)) == split


def test_graphs_are_small_by_their_weights(monkeypatch, tiny_engine):
    model = onnx.load(tiny_engine / "backbone.onnx")
    assert is_small(model)
    weights = sum(tensor.ByteSize() for tensor in model.graph.initializer)
    monkeypatch.setattr(module, "SMALL", weights - 1)
    assert not is_small(model)


def test_external_weights_are_large(tiny_engine):
    model = onnx.load(tiny_engine / "backbone.onnx")
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert not is_small(model)


def test_only_an_engines_small_graphs_are_parted(tiny_engine, monkeypatch):
    path = tiny_engine / "backbone.onnx"
    assert isinstance(OnnxRuntime(1, by_rows=True).load(path), RowSession)
    assert isinstance(OnnxRuntime(1).load(path), OnnxSession)
    monkeypatch.setattr(session, "is_small", lambda model: False)
    assert isinstance(OnnxRuntime(1, by_rows=True).load(path), OnnxSession)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_parts_give_what_the_whole_gives(tiny_engine, threads):
    path = tiny_engine / "backbone.onnx"
    parted, whole = OnnxRuntime(threads, by_rows=True).load(path), OnnxRuntime(1).load(path)
    for rows in (1, 2, 9, 3, 17, 1):
        given = draw(rows)
        expected = whole.run(given)
        for name, array in parted.run(given).items():
            assert array.shape == expected[name].shape
            np.testing.assert_allclose(array, expected[name], atol=1e-5)


def test_threads_share_the_parts_and_a_part_that_fails_fails_the_run(tiny_engine, monkeypatch):
    graph = OnnxRuntime(2, by_rows=True).load(tiny_engine / "backbone.onnx")
    graph.run(draw(1))
    run, seen = graph._run, Counter()
    both, fails = threading.Barrier(2, timeout=60), [False]

    def watched(part, arrays, outputs):
        if part.start < 2 * PART:  # the first part of each thread
            both.wait()
        seen[threading.current_thread().name] += 1
        if fails[0] and part.start == 3 * PART:
            raise RuntimeError("no memory")
        run(part, arrays, outputs)

    monkeypatch.setattr(graph, "_run", watched)
    graph.run(draw(4 * PART))
    assert len(seen) == 2
    assert seen.total() == 4
    fails[0] = True
    with pytest.raises(RuntimeError, match="no memory"):
        graph.run(draw(4 * PART))
    monkeypatch.undo()
    expected = OnnxRuntime(1).load(tiny_engine / "backbone.onnx").run(draw(5))["logits"]
    np.testing.assert_allclose(graph.run(draw(5))["logits"], expected, atol=1e-5)


def test_pages_of_a_large_batch_are_given_back(tiny_engine: Path):
    graph = OnnxRuntime(1, by_rows=True).load(tiny_engine / "backbone.onnx")
    for rows in (64, 2):
        graph.run(draw(rows))
    assert graph._buffers._buffers["logits"].size == 2 * TOKENS * VOCABULARY
