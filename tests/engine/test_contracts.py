import pytest
from family_specs import FAMILIES, family_spec

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.contracts import graph_faults

CHOOSERS = {"policy", "critic", "fidelity_policy", "reward"}


def contracts(family):
    return family_spec(family).contracts(ClassLabels(count=3))


def complete(family):
    return {name: (c.inputs, c.outputs) for name, c in contracts(family).items()}


def faults(family, graphs):
    return list(graph_faults(family, contracts(family), graphs))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_complete_engine_has_no_faults(family):
    assert faults(family, complete(family)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_what_chooses_is_optional_and_nothing_else(family):
    # A backbone that takes the condition as it is needs no graph for it.
    needed = contracts(family).keys() - CHOOSERS - (set() if family == "var" else {"condition"})
    assert sorted(faults(family, {})) == sorted(f"graphs has no {n!r}" for n in needed)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_may_leave_an_input_out(family):
    graphs = {name: ((), outputs) for name, (_, outputs) in complete(family).items()}
    assert faults(family, graphs) == []


@pytest.mark.parametrize("name", ["critic", "fidelity_policy"])
def test_a_graph_that_makes_no_sense_alone(name):
    graphs = {k: v for k, v in complete("maskgit").items() if k in ("backbone", "decoder", name)}
    assert faults("maskgit", graphs) == [f"graphs.{name}: needs the graph 'policy' beside it"]


def test_every_fault_is_named():
    graphs = {**complete("maskgit"), "judge": ((), ())}
    graphs["backbone"] = (["tokens", "labels", "time"], ["logits"])
    assert faults("maskgit", graphs) == [
        "graphs.judge: the family maskgit has no such graph",
        "graphs.backbone.inputs: nobody feeds time",
        "graphs.backbone.outputs: missing features",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_who_is_told_the_condition(family):
    """The graph `condition` where a family has one, else the backbone itself; and the reward."""
    graphs = contracts(family)
    given = ("modulation", "head_modulation", "start") if family == "var" else ("labels",)
    assert graphs["condition"].inputs == ("labels",)
    assert graphs["backbone"].inputs[-len(given) :] == given
    assert graphs["reward"].inputs == ("image", "labels")
