import pytest

from adagen_rt.engine.contracts import CONTRACTS, graph_faults


def complete(family):
    return {name: (c.inputs, c.outputs) for name, c in CONTRACTS[family].items()}


@pytest.mark.parametrize("family", CONTRACTS)
def test_a_complete_engine_has_no_faults(family):
    assert list(graph_faults(family, complete(family))) == []


@pytest.mark.parametrize("family", CONTRACTS)
def test_what_chooses_is_optional_and_nothing_else(family):
    needed = CONTRACTS[family].keys() - {"policy", "critic", "fidelity_policy", "reward"}
    assert sorted(graph_faults(family, {})) == sorted(f"graphs has no {n!r}" for n in needed)


@pytest.mark.parametrize("family", CONTRACTS)
def test_a_graph_may_leave_an_input_out(family):
    graphs = {name: ((), outputs) for name, (_, outputs) in complete(family).items()}
    assert list(graph_faults(family, graphs)) == []


@pytest.mark.parametrize("name", ["critic", "fidelity_policy"])
def test_a_graph_that_makes_no_sense_alone(name):
    graphs = {k: v for k, v in complete("maskgit").items() if k in ("backbone", "decoder", name)}
    needed = [f"graphs.{name}: needs the graph 'policy' beside it"]
    assert list(graph_faults("maskgit", graphs)) == needed


def test_every_fault_is_named():
    graphs = {**complete("maskgit"), "judge": ((), ())}
    graphs["backbone"] = (["tokens", "labels", "time"], ["logits"])
    assert list(graph_faults("maskgit", graphs)) == [
        "graphs.judge: the family maskgit has no such graph",
        "graphs.backbone.inputs: nobody feeds time",
        "graphs.backbone.outputs: missing features",
    ]
