import numpy as np
import pytest

from adagen_rt.condition import (
    ClassLabels,
    Condition,
    Conditioner,
    count_rows,
    join_rows,
    take_rows,
)
from adagen_rt.condition.rows import halves

LABELS = ClassLabels(count=5)


def rows(*labels):
    return {"labels": np.array(labels, np.int64)}


class Graph:
    """A graph that gives one output by rows and one by layers, in buffers that it reuses."""

    def __init__(self):
        self.seen = []
        self.buffers = {"start": np.empty(0), "modulation": np.empty(0)}

    def __call__(self, inputs):
        labels = inputs["labels"]
        self.seen.append(labels.copy())
        made = {"start": labels * 1.0, "modulation": np.stack([labels, labels + 100])}
        for name, values in made.items():
            if self.buffers[name].shape != values.shape:
                self.buffers[name] = np.empty(values.shape)
            self.buffers[name][...] = values
        return self.buffers


@pytest.fixture
def graph():
    return Graph()


@pytest.fixture
def conditioner(graph):
    return Conditioner(LABELS, graph, {"modulation": 1})


def test_without_a_graph_the_backbone_is_fed_the_rows_and_their_null_twins():
    condition = Conditioner(LABELS)(rows(4, 0))
    assert condition.arrays.keys() == {"labels"}
    np.testing.assert_array_equal(condition.arrays["labels"], [4, 0, 5, 5])


def test_a_graph_is_asked_once_for_both(conditioner, graph):
    condition = conditioner(rows(4, 0))
    np.testing.assert_array_equal(graph.seen, [[4, 0, 5, 5]])
    np.testing.assert_array_equal(condition.arrays["start"], [4, 0, 5, 5])
    expected = [[4, 0, 5, 5], [104, 100, 105, 105]]
    np.testing.assert_array_equal(condition.arrays["modulation"], expected)


def test_a_condition_outlasts_the_graphs_buffers(conditioner, graph):
    condition = conditioner(rows(4, 0))
    conditioner(rows(1, 2))
    np.testing.assert_array_equal(condition.arrays["start"], [4, 0, 5, 5])


def assert_alike(condition, other):
    assert condition.arrays.keys() == other.arrays.keys()
    for name, values in other.arrays.items():
        np.testing.assert_array_equal(condition.arrays[name], values)


@pytest.mark.parametrize("places", [[2, 0], [1], [0, 1, 2], []])
def test_samples_are_taken_with_their_null_twins(conditioner, places):
    labels = [4, 0, 3]
    taken = conditioner(rows(*labels)).take(np.array(places, np.int64), 3)
    assert_alike(taken, conditioner(rows(*(labels[place] for place in places))))


def test_samples_join_behind_others(conditioner):
    joined = conditioner(rows(4, 0)).join(conditioner(rows(3)))
    assert_alike(joined, conditioner(rows(4, 0, 3)))
    assert_alike(joined.take(np.array([2]), 3), conditioner(rows(3)))


def test_take_and_join_leave_the_axis_alone(conditioner):
    taken = conditioner(rows(4, 0)).take(np.array([1]), 2)
    assert taken.axes == {"modulation": 1}
    assert taken.join(taken).axes == {"modulation": 1}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_halves_of_any_axis(axis):
    array = np.arange(64).reshape(4, 4, 4)
    first, second = halves(array, axis)
    np.testing.assert_array_equal(np.concatenate([first, second], axis), array)
    assert first.shape[axis] == 2


def test_named_arrays_are_counted_taken_and_joined():
    both = {"a": np.arange(3), "b": np.arange(6).reshape(3, 2)}
    assert count_rows(both) == 3
    taken = take_rows(both, np.array([2, 0]))
    np.testing.assert_array_equal(taken["a"], [2, 0])
    np.testing.assert_array_equal(taken["b"], [[4, 5], [0, 1]])
    again = join_rows([taken, take_rows(both, slice(1, 2))])
    np.testing.assert_array_equal(again["a"], [2, 0, 1])


def test_tensors_of_pytorch_stay_tensors():
    torch = pytest.importorskip("torch")
    condition = Conditioner(LABELS)({"labels": torch.tensor([4, 0])})
    taken = condition.take(torch.tensor([1]), 2)
    assert taken.arrays["labels"].tolist() == [0, 5]
    assert isinstance(taken, Condition)
