from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import json

import yaml
from pydantic import ValidationError
from tiny_recipes import tiny_recipe

from adagen_rt.condition import ClassLabels
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import RecipeError
from adagen_rt.export.recipe import Recipe, build, load_recipe
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.models.multiscale import MultiScaleConfig
from adagen_rt.training.demo.settings import LoopConfig

#: The published rule's; of five scales the middle one is a tie.
PHIS = {
    1: (0,),
    2: (0, 3),
    5: (0, 1, 2, 2, 3),
    10: (0, 0, 1, 1, 1, 2, 2, 3, 3, 3),
}
RECIPES = sorted((Path(__file__).parents[2] / "export").glob("*.yaml"))
FASHION = [path for path in RECIPES if path.name.startswith("fashion-")]
MASKGIT = next(path for path in FASHION if "maskgit" in path.name)


def changed(tmp_path, **changes):
    """Write the MaskGIT recipe with dotted keys changed; `None` removes one."""
    content = yaml.safe_load(MASKGIT.read_text())
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        target = content
        for parent in parents:
            target = target[parent]
        if value is None:
            del target[last]
        else:
            target[last] = value
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_parses_and_lays_out_its_networks(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    with torch.device("meta"):
        config = recipe.make_backbone().config
        recipe.make_decoder()
    if isinstance(recipe.condition, ClassLabels):
        assert config.classes == recipe.condition.count
    else:
        assert config.context == recipe.text.width


def test_there_are_four_demo_recipes():
    assert {load_recipe(path).family for path in FASHION} == {"maskgit", "var", "dit", "sit"}


@pytest.mark.parametrize("path", FASHION, ids=lambda path: path.stem)
def test_demo_recipes_say_how_they_are_trained(path):
    recipe = load_recipe(path)
    assert len(recipe.condition.names) == 10
    for settings in (recipe.training.tokenizer, recipe.training.generator):
        assert build(LoopConfig, settings).steps > 100


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"famly": "maskgit"}, "famly: Extra inputs are not permitted"),
        ({"name": None}, "name: Field required"),
        ({"name": "../up"}, "name: String should match"),
        ({"family": "gan"}, "family: got 'gan', expected one of maskgit, var, dit, sit"),
        ({"backbone__wdith": 3}, "backbone: wdith: unknown key, expected one of width, depth"),
        ({"backbone__width": "wide"}, "backbone: width: Input should be a valid integer"),
        ({"backbone__depth": 4}, "backbone: depth: got 4, expected an odd number"),
        ({"backbone": 3}, "backbone: got 3, expected keys and values"),
        ({"backbone__vocabulary": 300}, "backbone.vocabulary: got 300, expected 256"),
        ({"decoder__kind": "autoencoder_kl"}, "decoder: kind: got 'autoencoder_kl'"),
        ({"decoder__depth": 1}, "decoder: depth: unknown key"),
        ({"classes": 11}, "backbone.classes: got 10, expected 11"),
        (
            {"files__backbone": "../../etc/passwd"},
            "files.backbone: got '../../etc/passwd', expected",
        ),
        ({"files__backbone": "/etc/passwd"}, "files.backbone: got '/etc/passwd', expected a file"),
        ({"files__decoder": "a/../../b.pth"}, "files.decoder: got 'a/../../b.pth', expected"),
        ({"files__policy": "c:\\b.pth"}, "expected a file inside the weights folder"),
        ({"schedule__steps": 0}, "schedule.steps: Input should be greater than or equal to 1"),
        ({"files__critic": ""}, "files.critic: got '', expected a file inside"),
        ({"backbone__depth": -1}, "backbone: depth: Input should be greater than or equal to 1"),
        ({"backbone__mlp_ratio": 0}, "backbone: mlp_ratio: Input should be greater than 0"),
        (
            {"backbone__tokens": 60},
            "backbone: tokens: got 60, expected a square number, or [height",
        ),
        ({"decoder__groups": 7}, "decoder: groups: got 7, expected a divisor of "),
        ({"decoder__multipliers": [1, 0]}, "decoder: multipliers.1: Input should be greater"),
        ({"decoder__image_channels": 4}, "decoder: image_channels: Input should be 1 or 3"),
        ({"pixel_range": [1, -1]}, "pixel_range: got [1, -1], expected black below white"),
        ({"pixel_range": [0, float("nan")]}, "pixel_range: got [0, nan], expected"),
        ({"classes": 0}, "classes: got 0, expected at least 1"),
        ({"classes": True}, "classes: got True, expected how many there are, or their names"),
        ({"classes": []}, "classes: got [], expected"),
        ({"classes": ["Café", "cafe\u0301"]}, "'café' is there 2 times"),
        ({"classes": ["1", "b"]}, "'1' is class 0, but a label '1' could mean class 1"),
        ({"classes": [1, 2]}, "classes: got the name 1, expected text"),
        ({"schedule__steps": 1}, "schedule.steps: got 1, expected at least 2"),
        ({"policy": None, "files__critic": "c.pt"}, "files.critic: got a file, expected none"),
        ({"policy__refinement_std": 0}, "policy.refinement_std: Input should be greater than 0"),
        ({"policy__hidden": 0}, "policy.hidden: Input should be greater"),
        ({"policy__grid": 0}, "policy.grid: got 0, expected 1 to 16384, or [height, width]"),
        ({"policy__grid": 257}, "policy.grid: got 257, expected 1 to 256"),
        ({"schedule__residual": "some"}, "schedule.residual: Input should be a valid boolean"),
        ({"training__tokenizer": 3}, "training.tokenizer: Input should be a valid dictionary"),
        ({"solver": "euler"}, "solver: got 'euler', expected none here"),
    ],
)
def test_a_wrong_field_is_one_line_that_names_it(tmp_path, changes, message):
    path = changed(tmp_path, **changes)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("family", "section", "field", "value", "told"),
    [
        ("dit", "backbone", "size", [8, 9], "patch: got 2, expected a divisor of 8 x 9"),
        ("dit", "backbone", "size", [8], "size: got [8], expected 1 to 16384, or [height, width]"),
        ("dit", "backbone", "size", [8, -8], "size: got [8, -8], expected 1 to 16384"),
        ("maskgit", "backbone", "tokens", 128, "got 128, expected a square number, or [height"),
        ("maskgit", "backbone", "tokens", "8x16", "tokens: got '8x16', expected"),
        ("var", "backbone", "scales", [1, [2, 4]], "got [1, [2, 4]], expected [1, 2, 4, 8]"),
        ("var", "backbone", "scales", [[1, 2], 8], "got [[1, 2], 8], expected a first side of 1"),
        ("var", "decoder", "scales", [1, 2, [0, 4], 8], "scales.2: got [0, 4], expected"),
    ],
)
def test_sizes_that_no_network_has_are_one_line(family, section, field, value, told):
    content = tiny_recipe(family).model_dump(mode="json", exclude_none=True)
    content[section] |= {field: value}
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(content)
    assert told in describe_faults(caught.value)


@pytest.mark.parametrize(
    ("family", "field", "value"),
    [("dit", "size", [8, 12]), ("maskgit", "tokens", [4, 16]), ("maskgit", "tokens", 64)],
)
def test_a_size_is_written_as_it_was_read(family, field, value):
    recipe = tiny_recipe(family)
    written = recipe.model_dump(mode="json")
    written["backbone"] |= {field: value}
    again = Recipe.model_validate(written)
    assert again.model_dump(mode="json") == written
    assert recipe.model_dump(mode="json")["backbone"][field] in (8, 64)


def written(tmp_path, family, **changes):
    """Write a tiny recipe with whole sections changed."""
    recipe = tiny_recipe(family)
    content = recipe.model_dump(mode="json") | changes
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    return path


def schedule(family, **changes):
    return tiny_recipe(family).schedule.model_dump(mode="json") | changes


def without(family, name):
    actions = schedule(family)["actions"]
    return schedule(family, actions=[action for action in actions if action["name"] != name])


@pytest.mark.parametrize(
    ("family", "section", "message"),
    [
        ("dit", schedule("dit", steps=5), "schedule.steps: got 5, expected an even number"),
        ("sit", schedule("sit", steps=3), "schedule.steps: got 3, expected an even number"),
        ("var", schedule("var", steps=3), "schedule.steps: got 3, expected 4: one for each scale"),
        ("maskgit", schedule("maskgit", steps=1), "schedule.steps: got 1, expected at least 2"),
        ("var", without("var", "top_p"), "schedule.actions: got guidance_scale, top_k, samp"),
        ("sit", schedule("dit"), "time.static: goes from 0.9 to 0.01, but the times of sit rise"),
        ("dit", schedule("sit"), "time.static: goes from 0.01 to 0.99, but the times of dit fall"),
    ],
)
def test_a_schedule_that_cannot_run_is_refused(tmp_path, family, section, message):
    with pytest.raises(RecipeError) as caught:
        load_recipe(written(tmp_path, family, schedule=section))
    assert message in str(caught.value)


def test_a_static_value_beyond_its_scale_is_refused(tmp_path):
    section = schedule("var")
    section["actions"][1]["static"]["value"] = 900
    with pytest.raises(RecipeError, match=r"top_k\.static: rises to 900, expected at most 8"):
        load_recipe(written(tmp_path, "var", schedule=section))


def test_all_faults_are_told_at_once(tmp_path):
    changes = {"pixel_range": [1, -1], "classes": 11, "schedule__steps": 1, "decoder__groups": 7}
    path = changed(tmp_path, **changes, name="a b", training__tokenizer=3)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    for part in ("name: ", "decoder: groups", "pixel_range: ", "training.tokenizer"):
        assert part in str(caught.value)
    with pytest.raises(RecipeError) as caught:
        load_recipe(changed(tmp_path, pixel_range=[1, -1], classes=11, schedule__steps=1))
    for part in ("pixel_range: ", "backbone.classes: got 10, expected 11", "schedule.steps: got 1"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["backbones/x.pth", "a b/ü (1).pt", "x.y/z.safetensors"])
def test_files_may_lie_in_folders_and_have_spaces(tmp_path, name):
    assert load_recipe(changed(tmp_path, files__backbone=name)).files.backbone == name


def test_names_are_kept_in_their_composed_form(tmp_path):
    names = ["cafe\u0301", *"bcdefghij"]
    assert load_recipe(changed(tmp_path, classes=names)).classes[0] == "café"


@pytest.mark.parametrize(("scales", "phis"), PHIS.items())
def test_phis_may_be_left_out(scales, phis):
    assert MultiScaleConfig(scales=tuple(range(1, scales + 1))).phis == phis


def test_decoder_need_not_repeat_scale_and_shift(tmp_path):
    path = written(tmp_path, "dit", latent_scale=0.3, latent_shift=0.1)
    content = yaml.safe_load(path.read_text())
    del content["decoder"]["latent_scale"], content["decoder"]["latent_shift"]
    path.write_text(yaml.safe_dump(content))
    decoder = load_recipe(path).decoder
    assert (decoder.latent_scale, decoder.latent_shift) == (0.3, 0.1)


def test_a_solver_is_one_that_the_family_has():
    content = tiny_recipe("dit").model_dump()
    for solver in (None, *SOLVERS):
        recipe = Recipe.model_validate(content | {"solver": solver})
        assert recipe.model.describe(recipe).solver == (solver or DEFAULT_SOLVER)
    with pytest.raises(ValueError, match="solver: got 'heun', expected one of"):
        Recipe.model_validate(content | {"solver": "heun"})


@pytest.mark.parametrize("content", [b"{a: [", b"\xff\xfe\x00", b"just text", b"", b"- 1"])
def test_what_is_no_recipe_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.yaml"):
        load_recipe(tmp_path / "none.yaml")


def test_a_loop_setting_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="learning_rat: unknown key"):
        build(LoopConfig, {"steps": 3, "learning_rat": 1.0})
