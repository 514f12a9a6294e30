from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.evaluation.choices import Choice, guided, rescheduled
from adagen_rt.evaluation.network_source import NetworkSource
from tiny_engine import Options, build_tiny_engine
from tiny_recipes import judged_recipe, tiny_networks

import adagen_rt
from adagen_rt.engine.schedule import Constant, Cosine, Linear, Ramp
from adagen_rt.errors import InputError
from adagen_rt.evaluation.sources import EngineSource, draw_requests, make_samples
from adagen_rt.export.description import describe_model
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.training.policy.search import draw_candidate

CHOICES = {
    "static": Choice("static"),
    "tuned": Choice("tuned"),
    "policy": Choice(),
    "guidance": Choice("static", guidance=2.0),
    "fidelity": Choice(fidelity=0.5),
    "refine": Choice(refine=2),
}


def tuned(manifest):
    """With a tuned schedule."""
    spec = manifest.schedule
    update = {"tuned": draw_candidate(spec, 0, 1)}
    return rescheduled(manifest, spec.model_copy(update=update))


@pytest.fixture(scope="module", params=["maskgit", "var", "dit"])
def both(request, exported):
    """An engine and the networks that it was exported from."""
    engine = exported(request.param, judged=True)
    engine = replace(engine, manifest=tuned(engine.manifest))
    return EngineSource(StepwisePipeline(engine), batch_size=4), networks_of(request.param)


def networks_of(family):
    recipe = judged_recipe(family)
    made = tiny_networks(recipe)
    parts = made.backbone, made.decoder, made.optional()
    return NetworkSource(tuned(describe_model(recipe)), *parts, batch_size=5)


def test_both_know_the_schedules(both):
    assert [source.schedules for source in both] == [("static", "tuned", "policy")] * 2


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_an_engine_and_its_networks_make_the_same_images(both, choice):
    labels, seeds = draw_requests(6, 10, seed=0)
    ticks = []
    ours, theirs = (source.make(choice, labels, seeds, ticks.append) for source in both)
    assert sum(ticks) == 12
    assert ours.images.shape == (6, 1, 32, 32)
    assert ours.rows == theirs.rows
    np.testing.assert_array_equal(ours.labels, labels)
    np.testing.assert_allclose(ours.images, theirs.images, atol=1.01 / 255)


def test_both_have_the_same_reward_model(both):
    made = both[0].make(Choice(), *draw_requests(6, 10, seed=0), id)
    ours, theirs = (source.reward()(made) for source in both)
    assert len(set(ours.tolist())) == 6
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["tuned", "policy", "guidance"])
def test_choices_make_a_difference(both, name):
    labels, seeds = draw_requests(6, 10, seed=0)
    plain, other = (
        both[0].make(choice, labels, seeds, id) for choice in (CHOICES["static"], CHOICES[name])
    )
    assert (plain.images != other.images).any()


def test_a_policy_runs_at_the_steps_that_it_was_trained_for():
    networks = networks_of("sit")
    labels, seeds = draw_requests(2, 10, seed=0)
    assert len(networks.make(Choice("static", 8), labels, seeds, id).images) == 2
    with pytest.raises(InputError, match="steps: got 8"):
        networks.make(Choice(steps=8), labels, seeds, id)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("policy", Choice()),
        ("fidelity_policy", Choice(fidelity=1.0)),
        ("critic", Choice(refine=2)),
    ],
)
def test_a_network_that_is_missing_is_named(name, choice):
    networks = networks_of("maskgit")
    del networks.others[name]
    with pytest.raises(InputError, match=f"{name}: got None"):
        networks.make(choice, *draw_requests(2, 10, seed=0), id)


def test_a_reward_model_that_is_missing_is_named(tmp_path):
    networks = networks_of("maskgit")
    del networks.others["reward"]
    engine = EngineSource(adagen_rt.load(build_tiny_engine(tmp_path / "engine"), threads=1))
    for source in (networks, engine):
        with pytest.raises(InputError, match="reward: got None"):
            source.reward()


def test_failed_samples_are_black_and_counted(tmp_path):
    folder = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    source = EngineSource(adagen_rt.load(folder, threads=1), batch_size=2)
    made = make_samples(source, Choice(), 5, seed=0, title="tiny")
    assert made.labels.tolist() == [0, 1, 2, 0, 1]
    assert made.failed.tolist() == [False, True, False, False, True]
    assert made.images.shape == (5, 1, 4, 4)
    assert made.images.flatten(1).any(1).tolist() == [True, False, True, True, False]


def test_failed_samples_of_networks_are_black_and_counted():
    networks = networks_of("dit")
    table = networks.backbone.y_embedder.embedding_table.weight
    with torch.no_grad():
        table[1] = torch.nan
    made = networks.make(Choice("static"), *draw_requests(3, 10, seed=0), id)
    assert made.failed.tolist() == [False, True, False]
    assert made.images.flatten(1).any(1).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("static", "expected"),
    [
        (Constant(value=1.5), Constant(value=3.0)),
        (Linear(start=1.0, stop=2.0), Linear(start=2.0, stop=4.0)),
        (Ramp(scale=0.5), Ramp(scale=1.0)),
    ],
)
def test_guidance_alone_is_scaled(static, expected):
    manifest = describe_model(judged_recipe("dit"))
    time, _ = manifest.schedule.actions
    spec = manifest.schedule.under([time.static, static])
    scaled = guided(rescheduled(manifest, spec), 2.0)
    assert [action.static for action in scaled.schedule.actions] == [time.static, expected]


def test_a_guidance_that_cannot_be_scaled_is_refused():
    manifest = describe_model(judged_recipe("dit"))
    time, _ = manifest.schedule.actions
    shaped = rescheduled(manifest, manifest.schedule.under([time.static, Cosine()]))
    assert guided(shaped, 1.0) == shaped
    with pytest.raises(InputError, match=r"guidance: got 2\.0"):
        guided(shaped, 2.0)


def test_requests_cover_the_classes_and_new_seeds():
    labels, seeds = draw_requests(20, 10, seed=1)
    assert np.bincount(labels).tolist() == [2] * 10
    assert seeds.min() == 2_000_000
    assert not set(seeds.tolist()) & set(draw_requests(20, 10, seed=0)[1].tolist())
