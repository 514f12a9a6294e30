from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import yaml
from tiny_recipes import tiny_recipe

from adagen_rt.errors import RecipeError
from adagen_rt.export.recipe import Recipe, build, load_recipe
from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.training.demo.loop import LoopConfig

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
        assert recipe.make_backbone().config.classes == recipe.condition.count
        recipe.make_decoder()


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
        ({"files__backbone": "../../etc/passwd"}, "files.backbone: String should match"),
        ({"schedule__steps": 0}, "schedule.steps: Input should be greater than or equal to 1"),
        ({"files__critic": "a/b"}, "files.critic: String should match"),
        ({"policy": None, "files__critic": "c.pt"}, "files.critic: got a file, expected none"),
        ({"policy__refinement_std": 0}, "policy.refinement_std: Input should be greater than 0"),
        ({"policy__hidden": 0}, "policy.hidden: Input should be greater"),
        ({"training__tokenizer": None}, "training.tokenizer: Field required"),
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
