"""Graphs are traced anew whenever anything that they are made of differs."""

import pytest

torch = pytest.importorskip("torch")

from dataclasses import replace

from tiny_recipes import tiny_networks, tiny_recipe
from traces import fingerprint

from adagen_rt.export.graphs import plan_graphs


def plan(recipe=None):
    recipe = recipe or tiny_recipe("dit")
    plans = plan_graphs(recipe, tiny_networks(recipe))
    return next(one for one in plans if one.name == "backbone")


def test_networks_of_the_same_seed_are_alike():
    assert fingerprint(plan(), "float32") == fingerprint(plan(), "float32") is not None


def test_any_difference_is_another_graph():
    weights, setting, inputs = plan(), plan(), plan()
    next(weights.module.parameters()).data.view(-1)[-1] += 1e-6
    setting.module.own = 7
    first = next(iter(inputs.inputs))
    inputs.inputs[first] = inputs.inputs[first][:1]
    renamed = replace(plan(), outputs=("prediction", "other"))
    keys = [fingerprint(one, "float32") for one in (plan(), weights, setting, inputs, renamed)]
    assert len({*keys, fingerprint(plan(), "float16")}) == 6


def test_a_class_of_a_function_is_never_alike():
    class Local(torch.nn.Linear):
        pass

    assert fingerprint(replace(plan(), module=Local(2, 2)), "float32") is None
