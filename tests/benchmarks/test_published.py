"""The published algorithm, written out in PyTorch, makes what the runtime makes."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation
from tiny_recipes import FAMILIES, tiny_networks, tiny_recipe

from adagen_rt.export.description import describe_model
from adagen_rt.export.pipeline import export_networks
from adagen_rt.generator import load
from adagen_rt.ops.noise import Philox
from adagen_rt.ops.reference import normal

LABELS, SEEDS = [3, 0, 7], [5, 6, 2**40]


@pytest.fixture
def published(monkeypatch):
    """The benchmarks' module; scripts there import each other by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import published

    yield published
    for name in ("eager", "published", "published_base", "published_var"):
        sys.modules.pop(name, None)


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
    loop = generator.make_loop(generator.manifest.schedule.steps)
    state, _ = loop.start(np.arange(len(LABELS)), np.asarray(LABELS), np.asarray(SEEDS))
    for _ in range(loop.family.steps):
        state, _ = loop.step(state)
    (latents,) = loop.family.latents(state).values()
    return latents


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_tokens_or_latents(published, family, tmp_path):
    recipe = tiny_recipe(family)
    networks = tiny_networks(recipe)
    export_networks(recipe, lambda: tiny_networks(recipe), tmp_path / "engine")
    expected = runtime_latents(tmp_path / "engine")
    baseline = published.Published.of(describe_model(recipe), networks)
    got = published.make_latents(baseline, torch.tensor(LABELS), Keyed()).numpy()
    if family == "maskgit":
        np.testing.assert_array_equal(got, expected)
    else:
        assert deviation(got, expected) < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_images_with_the_librarys_own_noise(published, family):
    recipe = tiny_recipe(family)
    baseline = published.Published.of(describe_model(recipe), tiny_networks(recipe))
    from published_base import TorchRandom

    images = published.make_images(baseline, torch.tensor(LABELS), TorchRandom())
    assert images.shape == (len(LABELS), 1, 32, 32)
    assert images.dtype == torch.uint8
    assert images.float().std() > 0


def test_maskgit_wastes_one_conditional_evaluation(published):
    recipe = tiny_recipe("maskgit")
    baseline = published.Published.of(describe_model(recipe), tiny_networks(recipe))
    from published_base import TorchRandom

    network, rows = baseline.backbone, []
    baseline.backbone = lambda tokens, labels: rows.append(labels) or network(tokens, labels)
    published.make_latents(baseline, torch.tensor([1]), TorchRandom())
    null = [bool(labels == recipe.class_count) for labels in rows]
    assert (null.count(False), null.count(True)) == (5, 4)
