from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from short_form import slow
from tiny_engine import Options, build_tiny_engine
from tiny_recipes import judged_recipe, tiny_networks

import adagen_rt
from adagen_rt.engine.folder import open_engine, shipped_engines
from adagen_rt.engine.static_schedules import Constant, Cosine, Linear, Ramp
from adagen_rt.errors import EngineError, InputError
from adagen_rt.evaluation.images import draw_request, guided, make_images
from adagen_rt.evaluation.networks import graph_sampler, network_sampler
from adagen_rt.evaluation.sources import guided_sampler
from adagen_rt.export.description import describe_model
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.params import SamplingParams, schedule_names
from adagen_rt.training.policy.search import draw_candidate

PARAMS = {
    "static": SamplingParams(schedule="static"),
    "tuned": SamplingParams(schedule="tuned"),
    "policy": SamplingParams(),
    "fidelity": SamplingParams(fidelity=0.5),
    "refine": SamplingParams(refine=2),
    "best-of": SamplingParams(best_of=2),
}


def tuned(manifest):
    """With a tuned schedule."""
    spec = manifest.schedule
    return manifest.with_schedule(spec.model_copy(update={"tuned": draw_candidate(spec, 0, 1)}))


def networks_of(family, without=()):
    recipe = judged_recipe(family)
    made = tiny_networks(recipe)
    others = {name: one for name, one in made.optional().items() if name not in without}
    return network_sampler(tuned(describe_model(recipe)), made.backbone, made.decoder, others)


@pytest.fixture(scope="module", params=["maskgit", "dit", *slow("var")])
def both(request, exported):
    """An engine, and the networks that it was exported from."""
    engine = exported(request.param, judged=True)
    engine = replace(engine, manifest=tuned(engine.manifest))
    return StepwisePipeline(engine), networks_of(request.param)


def made_by(source, params, count=6):
    return make_images(source, draw_request(source.manifest, count, 0, params), 4, "tiny")


def test_both_know_the_schedules(both):
    assert [schedule_names(source.manifest) for source in both] == [
        ("policy", "static", "tuned")
    ] * 2


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
def test_an_engine_and_its_networks_make_the_same_images(both, params):
    ours, theirs = (made_by(source, params) for source in both)
    assert ours.images.shape == (6, 32, 32, 1)
    assert ours.timings.backbone_rows == theirs.timings.backbone_rows
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.seeds, theirs.seeds)
    assert np.abs(ours.images.astype(int) - theirs.images).max() <= 1
    for name, values in ours.schedule.items():
        np.testing.assert_allclose(values, theirs.schedule[name], rtol=1e-3, atol=1e-4)


def test_both_have_the_same_reward_model(both):
    made = made_by(both[0], SamplingParams())
    ours, theirs = (
        getattr(source, "sampler", source).score_rows(made.images, made.rows) for source in both
    )
    assert len(set(ours.tolist())) == 6
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", ["tuned", "policy"])
def test_parameters_make_a_difference(both, name):
    plain, other = (made_by(both[0], PARAMS[one]) for one in ("static", name))
    assert (plain.images != other.images).any()


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_guidance_of_the_static_schedule(both, factor):
    static = PARAMS["static"]
    plain, other = (made_by(guided_sampler(both[0].sampler, f), static) for f in (1.0, factor))
    assert (plain.images != other.images).any() == (factor != 1)
    scales = [made.schedule["guidance_scale"] for made in (plain, other)]
    np.testing.assert_allclose(scales[1], factor * scales[0], rtol=1e-4)


def test_networks_take_other_numbers_of_steps():
    networks = networks_of("sit")
    made = made_by(networks, SamplingParams(steps=8), count=2)
    assert made.timings.backbone_rows == 2 * 2 * 8
    with pytest.raises(InputError, match="steps: got 7, expected an even number"):
        draw_request(networks.manifest, 2, 0, SamplingParams(steps=7))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fidelity_policy", SamplingParams(fidelity=1.0)),
        ("critic", SamplingParams(refine=2)),
        ("reward", SamplingParams(best_of=2)),
    ],
)
def test_a_network_that_is_missing_is_named(name, params):
    networks = networks_of("maskgit", without=(name,))
    with pytest.raises(EngineError, match=f"needs the graph '{name}'"):
        draw_request(networks.manifest, 2, 0, params)


def test_failed_samples_are_black_and_counted(tmp_path):
    folder = build_tiny_engine(tmp_path / "engine", Options(nan_logits=1))
    made = made_by(adagen_rt.load(folder, threads=1), SamplingParams(), count=5)
    assert made.labels.tolist() == [0, 1, 2, 0, 1]
    assert sorted(made.failures) == [1, 4]
    assert made.images.any(axis=(1, 2, 3)).tolist() == [True, False, True, True, False]


def test_failed_samples_of_networks_are_black_and_counted():
    recipe = judged_recipe("dit")
    made = tiny_networks(recipe)
    with torch.no_grad():
        made.backbone.y_embedder.embedding_table.weight[3] = torch.nan
    networks = network_sampler(describe_model(recipe), made.backbone, made.decoder, {})
    made = made_by(networks, SamplingParams(), count=3)
    assert made.labels.tolist() == [0, 3, 6]
    assert list(made.failures) == [1]
    assert made.images.any(axis=(1, 2, 3)).tolist() == [True, False, True]


def both_ways(name, params, factor=1.0):
    """Samplers of an engine's graphs, and what they make."""
    engine = open_engine(name)
    runtime = StepwisePipeline(engine).sampler
    samplers = [runtime, graph_sampler(engine, engine.manifest, "cpu")]
    results = [made_by(guided_sampler(sampler, factor), params) for sampler in samplers]
    assert np.abs(results[1].images.astype(int) - results[0].images).max() <= 1
    assert results[1].timings.backbone_rows == results[0].timings.backbone_rows
    return samplers, results[1]


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_graphs_in_pytorch_make_pictures_of_prompts(factor):
    pytest.importorskip("tokenizers")
    both_ways("emoji-sit", SamplingParams(), factor)


@pytest.mark.parametrize("name", [n for n in shipped_engines() if n.startswith("fashion")])
@pytest.mark.parametrize(
    ("params", "factor"),
    [
        (SamplingParams(), 1.0),
        (SamplingParams(schedule="static"), 2.0),
        (SamplingParams(schedule="tuned"), 1.0),
        (SamplingParams(fidelity=0.5), 1.0),
        (SamplingParams(refine=2), 1.0),
    ],
    ids=["policy", "guidance", "tuned", "fidelity", "refine"],
)
def test_graphs_in_pytorch_make_the_engines_images(name, params, factor):
    samplers, made = both_ways(name, params, factor)
    rewards = (sampler.score_rows(made.images, made.rows) for sampler in samplers)
    np.testing.assert_allclose(*rewards, atol=1e-5)


@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(refine=2, fidelity=0.5)])
def test_growing_candidates_are_what_users_get(judged_engine, params):
    sampler = adagen_rt.load(judged_engine, threads=1).sampler
    request = draw_request(sampler.manifest, 7, 3, params)
    keeper = sampler.keeper(request, 3)
    for number in (1, 2, 5):
        kept = keeper.best_of(number)
        best = replace(request, params=replace(request.params, best_of=number))
        expected = sampler.run(best, batch_size=3)
        np.testing.assert_array_equal(kept.images, expected.images)
        np.testing.assert_array_equal(kept.seeds, expected.seeds)
        assert kept.timings.backbone_rows == expected.timings.backbone_rows


@pytest.mark.parametrize(
    ("static", "expected"),
    [
        (Constant(value=1.5), Constant(value=3.0)),
        (Linear(start=1.0, stop=2.0), Linear(start=2.0, stop=4.0)),
        (Ramp(scale=0.5), Ramp(scale=1.0)),
    ],
)
def test_guidance_alone_is_scaled(static, expected):
    spec = describe_model(judged_recipe("dit")).schedule
    time, _ = spec.actions
    scaled = guided(spec.under([time.static, static]), 2.0)
    assert [action.static for action in scaled.actions] == [time.static, expected]


def test_a_guidance_that_cannot_be_scaled_is_refused():
    spec = describe_model(judged_recipe("dit")).schedule
    shaped = spec.under([spec.actions[0].static, Cosine()])
    with pytest.raises(InputError, match=r"guidance: got 2\.0"):
        guided(shaped, 2.0)


def test_requests_cover_the_classes_and_new_seeds():
    manifest = describe_model(judged_recipe("dit"))
    first, second = (draw_request(manifest, 20, seed) for seed in (0, 1))
    assert np.bincount(second.rows["labels"]).tolist() == [2] * 10
    assert second.seeds.min() == 2_000_000
    assert not set(first.seeds.tolist()) & set(second.seeds.tolist())
