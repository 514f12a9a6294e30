"""Engines with integer weights are judged by whole generations, not by single evaluations alone."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx_ir", reason="needs the extra int8")

import numpy as np
from golden.engines import final_states
from tiny_recipes import tiny_networks, tiny_recipe

from adagen_rt.export.engine import export_networks
from adagen_rt.export.recipe import Recipe
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.quantization import quantize_engine
from adagen_rt.quantization.judge import Judgement, judge
from adagen_rt.quantization.probes import Generated

FACTOR = 300


def make_recipe(family):
    """A tiny recipe, with products that are large enough for integers."""
    recipe = tiny_recipe(family)
    content = recipe.model_dump(mode="json")
    sizes = {"width": 64, "depth": 3 if family == "maskgit" else 2, "heads": 4}
    content["backbone"] = {**vars(recipe.backbone), **sizes}
    content["decoder"] = vars(recipe.decoder)
    return Recipe.model_validate(content)


def untouched(block):
    """As the seed has it."""


def large_output(block):
    block.mlp.fc2.weight[7] *= FACTOR


def large_input(block):
    block.mlp.fc2.weight[:, 7] *= FACTOR


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns a function that exports a family's engine with a changed block."""

    def export(family, change, gain=1.0):
        recipe, folder = make_recipe(family), tmp_path_factory.mktemp("judge")

        def networks():
            made = tiny_networks(recipe)
            for name, weight in made.backbone.named_parameters():
                weight.requires_grad_(False)
                if weight.ndim > 1 and "blocks" in name:
                    weight *= gain
            change(made.backbone.blocks[0])
            return made

        return export_networks(recipe, networks, folder / "engine")

    return export


@pytest.mark.parametrize("change", [untouched, large_output, large_input])
def test_final_latents_agree_whatever_a_row_does(make, tmp_path, change):
    engine = make("sit", change)
    twin = quantize_engine(engine, tmp_path / "twin")
    others = [3, 1, 4, 1, 5, 9], [20, 21, 22, 23, 24, 25]
    ours, theirs = (final_states(StepwisePipeline(one), *others).x for one in (twin, engine))
    error = np.sqrt(np.mean((ours - theirs) ** 2)) / np.sqrt(np.mean(theirs.var(axis=0)))
    assert error < 0.2
    card = (twin.path / "README.md").read_text(encoding="utf-8")
    assert "| final latents | " in card


def generated(latents, images=None, name="latents"):
    runs = [{name: one[None]} for one in latents]
    pictures = np.zeros((len(latents), 2, 2, 1), np.uint8) if images is None else images
    return Generated({"decoder": runs}, pictures)


def test_what_all_samples_share_does_not_hide_an_error():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(4, 3, 8, 8))
    expected = generated(1000 * rng.normal(size=(3, 8, 8)) + own)
    for size in (0.0, 0.5):
        noise = rng.normal(size=own.shape)
        got = generated(np.stack([run["latents"][0] for run in expected.probes["decoder"]]))
        for run, one in zip(got.probes["decoder"], noise, strict=True):
            run["latents"] = run["latents"] + size * one
        assert judge(got, expected).latents == pytest.approx(size, rel=0.2)


def test_tokens_are_counted_and_images_measured():
    tokens = np.arange(64).reshape(4, 16)
    other = tokens.copy()
    other[:2, 0] = 99
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 1)).astype(np.uint8)
    verdict = judge(generated(other, images, "tokens"), generated(tokens, images, "tokens"))
    assert verdict == Judgement(latents=None, tokens=2 / 64, images=0.0)
    assert verdict.error == 0
    unrelated = generated(tokens, images[[1, 2, 3, 0]], "tokens")
    assert judge(unrelated, generated(tokens, images, "tokens")).error > 1
