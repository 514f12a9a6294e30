"""A MaskGIT that takes prompts, from a recipe and weight files to images."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

from once import engine_once
from tiny_recipes import TEXT, TEXT_WIDTH, save_text_model, text_recipe, tiny_networks

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import RecipeError
from adagen_rt.export import export_engine
from adagen_rt.models.text import TextConfig, TextEncoder
from adagen_rt.pipeline.stepwise import StepwisePipeline

PROMPTS = ["a red cat sits", "a bird"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return open_engine(engine_once(tmp_path_factory, "tiny-text", _export).path)


def _export(out):
    folder, recipe = out.parent / f"{out.name}-weights", text_recipe()
    save_text_model(recipe, folder)
    return export_engine(recipe, out, weights=folder)


def test_prompts_become_images_that_no_neighbour_changes(engine):
    pipeline = StepwisePipeline(engine)
    both = pipeline.generate(prompts=PROMPTS, seeds=[1, 2]).images
    turned = pipeline.generate(prompts=PROMPTS[::-1], seeds=[2, 1]).images
    alone = pipeline.generate(prompts=PROMPTS[:1], seeds=[1]).images
    np.testing.assert_array_equal(both, turned[::-1])
    np.testing.assert_array_equal(both[:1], alone)
    assert not np.array_equal(
        both, pipeline.generate(prompts=["a", "the sky"], seeds=[1, 2]).images
    )


@torch.no_grad()
def test_the_text_is_the_tower_s_with_padding_and_without_a_mask(engine):
    network = tiny_networks(text_recipe()).text
    ids = engine.manifest.condition.within(engine.path).parse(["a cat"])["clip_ids"]
    assert ids[0, -1] == 0
    graph = OnnxRuntime(threads=1).load(engine.graph_file("condition"))
    got = graph.run({"clip_ids": ids})["context"]
    expected = network.text_model(input_ids=torch.from_numpy(ids), attention_mask=None)
    np.testing.assert_allclose(got, expected.last_hidden_state, atol=1e-5)


def test_names_are_those_of_the_published_tower():
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    with torch.device("meta"):
        names = TextEncoder(TextConfig(depth=2)).state_dict().keys()
        published = CLIPTextModelWithProjection(CLIPTextConfig(num_hidden_layers=2))
    assert names == published.state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"files": {}}, "files.text: expected a file with a section text"),
        ({"text": None, "files": {}}, f"backbone.context: got {TEXT_WIDTH}, expected None"),
        (
            {"text": {**TEXT, "length": 7}},
            r"prompts.encoders: got the lengths \[6\], expected one",
        ),
        ({"text": {**TEXT, "heads": 5}}, "heads: got 5, expected a divisor of 12"),
        ({"sources": {"words": {"repository": "a/b"}, "x": {"link": "https://a"}}}, "sources.x: "),
    ],
)
def test_what_does_not_fit_is_told(changes, told):
    with pytest.raises((RecipeError, ValueError), match=told):
        text_recipe(**changes)
