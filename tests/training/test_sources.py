import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import tiny_networks, tiny_recipe

from adagen_rt.errors import InputError
from adagen_rt.export import export_engine
from adagen_rt.export.description import describe_model
from adagen_rt.generator import Generator
from adagen_rt.training.search import draw_candidate
from adagen_rt.training.sources import EngineSource, NetworkSource, draw_requests


def both(family, folder):
    """An engine and the networks that it was exported from, with a tuned schedule."""
    recipe = tiny_recipe(family)
    tuned = draw_candidate(recipe.schedule, 0, 1)
    spec = recipe.schedule.model_copy(update={"tuned": tuned})
    recipe = recipe.model_copy(update={"schedule": spec})
    engine = export_engine(recipe, folder / "engine", seeded="tiny")
    networks = tiny_networks(recipe)
    parts = networks.backbone, networks.decoder, networks.policy
    return (
        EngineSource(Generator(engine), batch_size=4),
        NetworkSource(describe_model(recipe), *parts, batch_size=5),
    )


@pytest.mark.parametrize("family", ["maskgit", "var", "dit"])
def test_an_engine_and_its_networks_make_the_same_images(tmp_path, family):
    engine, networks = both(family, tmp_path)
    assert engine.schedules == networks.schedules == ("static", "tuned", "policy")
    labels, seeds = draw_requests(6, 10, seed=0)
    steps = engine.manifest.schedule.steps
    made = {}
    for name in engine.schedules:
        ticks = []
        pair = [s.images(labels, seeds, name, steps, ticks.append) for s in (engine, networks)]
        assert sum(ticks) == 12
        np.testing.assert_allclose(pair[0], pair[1], atol=1.01 / 255)
        made[name] = pair[0]
    assert (made["static"] != made["tuned"]).any()
    assert (made["static"] != made["policy"]).any()


def test_a_policy_runs_at_the_steps_that_it_was_trained_for(tmp_path):
    _, networks = both("sit", tmp_path)
    labels, seeds = draw_requests(2, 10, seed=0)
    assert len(networks.images(labels, seeds, "static", 8, id)) == 2
    with pytest.raises(InputError, match="steps: got 8"):
        networks.images(labels, seeds, "policy", 8, id)


def test_requests_cover_the_classes_and_new_seeds():
    labels, seeds = draw_requests(20, 10, seed=1)
    assert np.bincount(labels).tolist() == [2] * 10
    assert seeds.min() == 2_000_000
    assert not set(seeds.tolist()) & set(draw_requests(20, 10, seed=0)[1].tolist())
