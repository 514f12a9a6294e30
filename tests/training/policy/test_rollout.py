import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import FAMILIES, tiny_environment, tiny_networks, tiny_recipe

from adagen_rt.export.description import describe_model
from adagen_rt.models.random import keyed_generator
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.driver import drive
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.policy.rollout import (
    Exploration,
    gaussian_entropy,
    gaussian_log_prob,
    rollout,
)

LABELS = torch.tensor([1, 7, 9, 0, 3])
SEEDS = torch.tensor([5, 2**62 + 11, 0, 8, 4])


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def play(family, std=0.6, rows=slice(None), spoil=None, **options):
    """A rollout of some of the samples above under a seeded policy."""
    recipe = tiny_recipe(family)
    networks = tiny_networks(recipe)
    if spoil is not None:
        spoil(networks)
    environment = tiny_environment(recipe, networks)
    noise = Exploration.draw(environment, len(LABELS), std, keyed_generator(3)).noise[:, rows]
    policy = environment.multi_scale(networks.policy)
    exploration = Exploration(std, noise)
    return rollout(
        environment, policy, {"labels": LABELS[rows]}, SEEDS[rows], exploration, **options
    )


def engine_run(engine):
    """The same samples from an exported engine: final latents, and raw actions' results."""
    generator = StepwisePipeline(engine)
    loop = generator.sampler.loop(SamplingParams().check(generator.manifest))
    rows = {"labels": LABELS.numpy()}
    done, schedule = {}, []
    for step in drive(loop, np.arange(5), rows, SEEDS.numpy()):
        schedule += [decision.actions for decision in step.decisions]
        latents = loop.rule.latents(step.ended)
        for row, place in enumerate(step.ended.index):
            done[int(place)] = {name: value[row] for name, value in latents.items()}
    images = generator.generate(LABELS.tolist(), SEEDS.tolist()).images
    return [done[place] for place in range(5)], schedule, images


def test_the_trainer_generates_what_the_exported_engine_does(family, exported):
    played = play(family, std=0.0)
    latents, schedule, images = engine_run(exported(family))
    for name, value in played.latents.items():
        expected = np.stack([sample[name] for sample in latents])
        if value.is_floating_point() and family != "var":
            np.testing.assert_allclose(value, expected, atol=1e-3 * expected.std())
        elif value.is_floating_point():
            np.testing.assert_allclose(value, expected, atol=1e-5)
        else:
            np.testing.assert_array_equal(value, expected)
    first = np.stack(list(schedule[0].values()), axis=1)
    np.testing.assert_allclose(played.actions[0], first, rtol=1e-4)
    pixels = (played.images[:, 0] * 255).round().numpy()
    assert np.abs(pixels - images[..., 0]).max() <= 1


def test_a_trajectory_does_not_depend_on_its_batch(family):
    whole = play(family)
    small = play(family, batch_size=2)
    alone = play(family, rows=slice(1, 2))
    torch.testing.assert_close(whole.raw, small.raw, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.raw[: len(alone.raw), 1:2], alone.raw, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(whole.images[1:2], alone.images, atol=1.5 / 255, rtol=0)


def test_one_seed_gives_one_rollout(family):
    first, second = play(family), play(family)
    assert torch.equal(first.raw, second.raw)
    assert torch.equal(first.images, second.images)


def test_shapes_and_what_a_call_saw(family):
    played = play(family)
    calls = 5 if family in ("dit", "sit") else 4
    actions = 2 if family in ("dit", "sit") else 4
    assert played.raw.shape[1:] == (5, actions)
    assert len(played.observations) == len(played.raw) <= calls
    assert played.images.shape == (5, 1, 32, 32)
    assert 0 <= played.images.min() <= played.images.max() <= 1
    sizes = [seen["features"].shape[1] for seen in played.observations]
    if family == "var":
        assert sizes == [1, 4, 16, 64]
        assert played.observations[2]["positions"].tolist() == list(range(5, 21))
    else:
        assert set(sizes) == {64 if family == "maskgit" else 16}
    assert torch.equal(played.actions.isfinite().all(dim=-1), played.valid)


def test_log_probabilities_are_those_of_a_normal():
    played = play("maskgit", std=0.3)
    normal = torch.distributions.Normal(played.mean, 0.3)
    valid = played.valid
    expected = normal.log_prob(played.raw).sum(dim=-1)
    torch.testing.assert_close(played.log_prob[valid], expected[valid])
    assert gaussian_entropy(0.3, 4) == pytest.approx(
        torch.distributions.Normal(torch.zeros(4), 0.3).entropy().sum().item()
    )
    assert gaussian_log_prob(torch.zeros(2, 4), torch.ones(2, 4), 0.5).shape == (2,)


def test_features_may_be_kept_in_half_the_memory():
    half, whole = (play("dit", dtype=dtype) for dtype in (torch.float16, torch.float32))
    assert half.observations[1]["features"].dtype == torch.float16
    seen = half.observation(range(1, 2), torch.tensor([3, 0]))["features"]
    assert seen.dtype == torch.float32
    expected = whole.observation(range(1, 2), torch.tensor([3, 0]))["features"]
    torch.testing.assert_close(seen, expected, atol=1e-2, rtol=1e-2)


def test_slots_that_end_early_have_no_valid_calls_after():
    def keep_everything(networks):
        networks.policy.linear3.bias.data[0] = -40.0  # nothing is masked again

    played = play("maskgit", std=0.0, spoil=keep_everything)
    assert played.valid.tolist() == [[True] * 5]
    assert len(played.observations) == 1


def test_a_sample_that_fails_is_marked_and_the_others_are_not():
    def break_class_7(networks):
        networks.backbone.y_embedder.embedding_table.weight.data[7] = torch.nan

    played = play("dit", spoil=break_class_7)
    assert played.failed.tolist() == [False, True, False, False, False]
    assert not played.valid[:, 1].any()
    assert played.valid[:, [0, 2, 3, 4]].all()
    assert played.images.isfinite().all()


def test_the_generator_may_compute_in_bfloat16():
    recipe = tiny_recipe("dit")
    networks = tiny_networks(recipe)
    parts = describe_model(recipe), networks.backbone, networks.decoder
    played = {}
    for bf16 in (False, True):
        environment = Environment.of_networks(*parts, bf16=bf16)
        still = Exploration.none(environment, len(LABELS))
        played[bf16] = rollout(
            environment, networks.policy, {"labels": LABELS}, SEEDS, still
        ).latents
    first, second = (latents["latents"] for latents in played.values())
    assert second.dtype == torch.float32
    assert 0 < (first - second).abs().max() < 0.3 * first.std()
