"""The published algorithm, written out in PyTorch, makes what the runtime makes."""

from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation
from tiny_recipes import FAMILIES, tiny_networks, tiny_recipe

from adagen_rt.export.description import describe_model
from adagen_rt.ops.noise import Philox
from adagen_rt.ops.reference import normal
from adagen_rt.pipeline.load import load
from adagen_rt.sampling.params import SamplingParams

LABELS, SEEDS = [3, 0, 7], [5, 6, 2**40]


@pytest.fixture
def baseline():
    """Returns a function from a tiny recipe to the published generator of its networks."""
    from published_base import Published

    def make(recipe):
        return Published.of(describe_model(recipe), tiny_networks(recipe))

    return make


@dataclass
class KeyedStep:
    """The runtime's noise of one sample's step."""

    keyed: Philox

    def token_gumbel(self, shape):
        return self.keyed.token_gumbel(tuple(shape))

    def confidence_gumbel(self, shape):
        return self.keyed.confidence_gumbel(tuple(shape))

    def choose(self, probabilities):
        return (probabilities.log() + self.token_gumbel(probabilities.shape)).argmax(-1)


class Keyed:
    """The runtime's noise."""

    def normal(self, count, shape):
        return normal(torch.tensor(SEEDS), shape)

    def step(self, sample, step):
        return KeyedStep(Philox(torch.tensor(SEEDS[sample : sample + 1]), torch.tensor([step])))


def runtime_latents(engine):
    """What an exported engine gives its decoder."""
    generator = load(engine, threads=1)
    loop = generator.sampler.loop(SamplingParams().check(generator.manifest))
    rows = {"labels": np.asarray(LABELS)}
    state, _ = loop.start(np.arange(len(LABELS)), rows, np.asarray(SEEDS))
    for _ in range(loop.rule.steps):
        state, _ = loop.step(state)
    (latents,) = loop.rule.latents(state).values()
    return latents


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_tokens_or_latents(baseline, exported, family):
    from published import make_latents

    expected = runtime_latents(exported(family).path)
    got = make_latents(baseline(tiny_recipe(family)), torch.tensor(LABELS), Keyed()).numpy()
    if family == "maskgit":
        np.testing.assert_array_equal(got, expected)
    else:
        assert deviation(got, expected) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_images_with_the_librarys_own_noise(baseline, family):
    from published import make_images
    from published_base import TorchRandom

    images = make_images(baseline(tiny_recipe(family)), torch.tensor(LABELS), TorchRandom())
    assert images.shape == (len(LABELS), 1, 32, 32)
    assert images.dtype == torch.uint8
    assert images.float().std() > 0


def test_maskgit_wastes_one_conditional_evaluation(baseline):
    from published import make_latents
    from published_base import TorchRandom

    recipe = tiny_recipe("maskgit")
    generator = baseline(recipe)
    network, rows = generator.backbone, []
    generator.backbone = lambda tokens, labels: rows.append(labels) or network(tokens, labels)
    make_latents(generator, torch.tensor([1]), TorchRandom())
    null = [bool(labels == recipe.condition.count) for labels in rows]
    assert (null.count(False), null.count(True)) == (5, 4)
