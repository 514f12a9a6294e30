"""Refinement of all four families: on PyTorch tensors, and of what is exported from them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from functools import partial

from tiny_recipes import FAMILIES, judged_recipe, tiny_environment, tiny_networks

from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.sampling.driver import drive
from adagen_rt.sampling.refinement import RefinedLoop, Refinement
from adagen_rt.training.policy.rollout import ask

LABELS, SEEDS = torch.tensor([1, 7, 9]), torch.tensor([5, 2**62 + 11, 0])
STD, COUNT = 0.1, 3


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@torch.no_grad()
def play(family, refine=None):
    """Images of the networks in PyTorch; `refine` makes a refinement from environment, critic."""
    recipe = judged_recipe(family)
    networks = tiny_networks(recipe)
    environment = tiny_environment(recipe, networks)
    loop = environment.loop(partial(ask, environment.multi_scale(networks.policy)))
    if refine is not None:
        loop = RefinedLoop.of(loop, refine(environment, networks.critic))
    ended = [step.ended for step in drive(loop, torch.arange(3), {"labels": LABELS}, SEEDS)]
    done = [part.index for part in ended]
    latents = [loop.rule.latents(part) for part in ended]
    order = torch.cat(done).argsort()
    joined = {k: torch.cat([part[k] for part in latents])[order] for k in latents[0]}
    return environment.decode(joined), loop


def by_critic(environment, critic):
    critic = environment.multi_scale(critic)
    return Refinement(COUNT, STD, lambda seen, call: ask(critic, seen, call)[:, 0])


def by_nobody(environment, critic):
    return Refinement(COUNT, STD, lambda seen, call: torch.zeros(len(call)))


def test_without_a_preference_the_policys_own_action_stands(family):
    plain, _ = play(family)
    same, loop = play(family, by_nobody)
    torch.testing.assert_close(same, plain, atol=1.5 / 255, rtol=0)
    assert loop.timings.backbone_rows > 2 * len(LABELS) * loop.rule.steps


def test_the_cost_is_at_most_as_many_times(family):
    _, loop = play(family, by_critic)
    looked = loop.schedule.calls - 1  # all but the last look one evaluation ahead
    first = loop.rule.steps - looked
    assert loop.timings.backbone_rows == 2 * len(LABELS) * (first + COUNT * looked)


def test_an_exported_engine_refines_as_pytorch_does(family, exported):
    expected, loop = play(family, by_critic)
    engine = exported(family, judged=True)
    assert engine.manifest.refinement_std == STD
    generator = StepwisePipeline(engine)
    labels, seeds = LABELS.tolist(), SEEDS.tolist()
    result = generator.generate(labels, seeds, refine=COUNT)
    pixels = (expected[:, 0] * 255).round().numpy()
    assert np.abs(pixels - result.images[..., 0]).max() <= 1
    assert result.timings.backbone_rows == loop.timings.backbone_rows
    plain = generator.generate(labels, seeds)
    assert (plain.images != result.images).any()
    same = generator.generate(labels, seeds, refine=1, best_of=1, fidelity=0)
    np.testing.assert_array_equal(same.images, plain.images)
    alone = generator.generate(labels[1:2], seeds[1:2], refine=COUNT)
    assert np.abs(alone.images[0].astype(int) - result.images[1]).max() <= 1
    both = generator.generate(labels, seeds, best_of=2, fidelity=[0, 0.5, 1])
    assert not both.failures
    assert np.isfinite(both.rewards).all()
