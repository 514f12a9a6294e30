import numpy as np
from tiny_engine import CLASSES, TOKENS, VOCABULARY

from adagen_rt.backends import make_backend
from adagen_rt.families.maskgit.null_once import NullOnce


class Counted:
    """A graph's ``run`` that notes how many rows it was given."""

    def __init__(self, graph):
        self.graph, self.rows = graph, []

    def __call__(self, inputs):
        self.rows.append(len(inputs["tokens"]))
        return self.graph.run(inputs)


def paired(tokens, labels):
    null = np.full_like(labels, len(CLASSES))
    return {"tokens": np.concatenate([tokens, tokens]), "labels": np.concatenate([labels, null])}


def run_both(tiny_engine, batches):
    graph = make_backend("onnxruntime", 1).load(tiny_engine / "backbone.onnx")
    counted = Counted(graph)
    once = NullOnce(counted, VOCABULARY)
    for inputs in batches:
        got = {name: array.copy() for name, array in once(inputs).items()}
        expected = graph.run(inputs)
        assert got.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(got[name], array, rtol=1e-5, atol=1e-6)
    return counted.rows


def masked(*labels):
    return paired(np.full((len(labels), TOKENS), VOCABULARY), np.array(labels))


def test_the_null_row_of_the_first_step_is_evaluated_once(tiny_engine):
    assert run_both(tiny_engine, [masked(0, 1, 2), masked(2), masked(1, 0)]) == [1, 3, 1, 2]


def test_other_steps_are_evaluated_whole(tiny_engine):
    inputs = masked(0, 1)
    inputs["tokens"][[0, 2], 3] = 1
    assert run_both(tiny_engine, [inputs, inputs]) == [4, 4]
