import pytest
from tiny_engine import TOKENS, WIDTH

from adagen_rt.backends.tensorrt.profiles import graph_profiles
from adagen_rt.condition import ClassLabels
from adagen_rt.engine.folder import open_engine
from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import GraphSpec, TensorSpec
from adagen_rt.errors import PlanError
from adagen_rt.families.var.spec import VARSpec


@pytest.fixture
def manifest(tiny_engine):
    return open_engine(tiny_engine).manifest


def spec(**inputs):
    tensors = tuple(TensorSpec(name=n, dtype="float32", shape=s) for n, s in inputs.items())
    return GraphSpec(file="graph.onnx", inputs=tensors, outputs=(), parameters=0)


@pytest.fixture
def var():
    graphs = {
        "backbone": spec(inputs=("rows", "tokens", 8), cache=("past", 2, 2, "rows", 16)),
        "refine": spec(tokens=("rows", "tokens"), next_positions=("next_tokens",), phi=()),
        "decoder": spec(latents=("rows", 8, 3, 3)),
    }
    family = VARSpec(
        scales=(1, 2, 3), vocabulary=8, code_width=8, layers=2, width=16, phi=(0, 0, 0)
    )
    return Manifest.model_construct(family=family, graphs=graphs, condition=ClassLabels(count=3))


def test_a_backbone_sees_two_rows_a_sample(manifest):
    one, four = graph_profiles(manifest, "backbone", (1, 4))
    assert one == {"tokens": (2, TOKENS), "labels": (2,)}
    assert four == {"tokens": (8, TOKENS), "labels": (8,)}


def test_a_policy_sees_one_row_a_sample(manifest):
    (four,) = graph_profiles(manifest, "policy", (4,))
    assert four == {"features": (4, TOKENS, WIDTH), "step": (4,)}


def test_var_has_a_profile_for_every_scale_and_batch(var):
    profiles = graph_profiles(var, "backbone", (1, 4))
    assert len(profiles) == 6
    assert profiles[0] == {"inputs": (2, 1, 8), "cache": (0, 2, 2, 2, 16)}
    assert profiles[2] == {"inputs": (2, 9, 8), "cache": (5, 2, 2, 2, 16)}
    assert profiles[4] == {"inputs": (8, 4, 8), "cache": (1, 2, 2, 8, 16)}


def test_the_last_refinement_prepares_its_own_scale(var):
    profiles = graph_profiles(var, "refine", (2,))
    assert [profile["next_positions"] for profile in profiles] == [(4,), (9,), (9,)]
    assert profiles[-1] == {"tokens": (2, 9), "next_positions": (9,), "phi": ()}


def test_graphs_without_a_scale_have_a_profile_for_each_batch(var):
    assert len(graph_profiles(var, "decoder", (1, 4))) == 2


def test_an_unknown_axis_is_named(var):
    var.graphs["decoder"] = spec(latents=("rows", "height", 3))
    with pytest.raises(PlanError, match=r"graphs\.decoder\.inputs: got the dynamic axis 'height'"):
        graph_profiles(var, "decoder", (1,))
