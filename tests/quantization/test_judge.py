"""Engines with integer weights are judged by whole generations, not by single evaluations alone."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx_ir", reason="needs the extra int8")

import numpy as np
from golden.engines import final_states
from tiny_recipes import tiny_networks, tiny_recipe

from adagen_rt.export.engine import export_networks
from adagen_rt.export.recipe import Recipe
from adagen_rt.families.diffusion.spec import DiffusionSpec
from adagen_rt.pipeline.stepwise import StepwisePipeline
from adagen_rt.quantization import quantize_engine
from adagen_rt.quantization.judge import Judgement, judge
from adagen_rt.quantization.probes import Generated

FACTOR = 300
SAMPLES = [3, 1, 4, 1, 5, 9], [20, 21, 22, 23, 24, 25]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """A SiT whose products are large enough for integers, with weights that stick out."""
    recipe = tiny_recipe("sit")
    content = recipe.model_dump(mode="json")
    content["backbone"] = {**vars(recipe.backbone), "width": 64, "heads": 4}
    content["decoder"] = vars(recipe.decoder)
    recipe = Recipe.model_validate(content)

    def networks():
        made = tiny_networks(recipe)
        made.backbone.requires_grad_(False).blocks[0].mlp.fc2.weight[:, 7] *= FACTOR
        return made

    return export_networks(recipe, networks, tmp_path_factory.mktemp("judge") / "engine")


def test_final_latents_agree_though_a_row_sticks_out(engine, tmp_path):
    twin = quantize_engine(engine, tmp_path / "twin")
    ours, theirs = (final_states(StepwisePipeline(one), *SAMPLES).x for one in (twin, engine))
    error = np.sqrt(np.mean((ours - theirs) ** 2)) / np.sqrt(np.mean(theirs.var(axis=0)))
    assert error < 2 * engine.manifest.family.generation_limit
    assert twin.manifest.dtype == "int8"
    assert "| final latents | " in (twin.path / "README.md").read_text(encoding="utf-8")


def test_where_no_choice_is_near_enough_the_twin_is_float32(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(DiffusionSpec, "generation_limit", 1e-9)
    told = []
    twin = quantize_engine(engine, tmp_path / "twin", progress=told.append)
    assert (twin.manifest.name, twin.manifest.dtype) == ("tiny-sit-float32", "float32")
    assert sum("more layers stay float32" in line for line in told) >= 1
    for name in engine.manifest.graphs:
        graphs = [one.graph_file(name).read_bytes() for one in (engine, twin)]
        assert graphs[0] == graphs[1]


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
