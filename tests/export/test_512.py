"""The recipes for 512 x 512 images, at their own grids but narrow, against PyTorch."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from short_form import slow
from trainers_loop import assert_alike, trainers_images

import adagen_rt
from adagen_rt.export import export_engine
from adagen_rt.export.recipe import Recipe, load_recipe

RECIPES = Path(__file__).parents[2] / "export"
NARROW = {
    "dit-xl-2-512": {"width": 16, "depth": 1, "heads": 2},
    "maskgit-l-512": {"width": 16, "depth": 3, "heads": 2},
    "var-d36-512": {"width": 16, "depth": 2, "heads": 2},
}
DECODER = {"channels": 8, "groups": 4, "encoder_blocks": 1, "decoder_blocks": 1}


def narrow_recipe(name):
    content = load_recipe(RECIPES / f"{name}.yaml").model_dump(mode="json", exclude_none=True)
    content["backbone"] |= NARROW[name]
    content["decoder"] |= DECODER
    content["policy"] |= {"hidden": 16}
    if content["family"] != "var":
        content["schedule"]["steps"] = 2
    return Recipe.model_validate(content)


@pytest.mark.parametrize("name", slow(*NARROW))
def test_a_narrow_one_makes_the_images_of_its_networks(tmp_path, name):
    recipe = narrow_recipe(name)
    engine = export_engine(recipe, tmp_path / "engine", seeded="tiny")
    assert all(graph.error < 1e-3 for graph in engine.manifest.graphs.values())
    with adagen_rt.load(engine.path, threads=1) as pipeline:
        made = pipeline.generate([3, 7], [5, 6])
    assert made.images.shape == (2, 512, 512, 3)
    assert_alike(*trainers_images(recipe, [3, 7], [5, 6]), made)
