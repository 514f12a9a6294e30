"""`adagen-rt train`: a whole small training, and the faults that it names."""

from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

import yaml
from PIL import Image
from tiny_recipes import wide_recipe

from adagen_rt.cli import main

MASKGIT = Path(__file__).parents[2] / "export" / "fashion-maskgit.yaml"


@pytest.fixture
def recipe(tmp_path):
    """The MaskGIT recipe, three steps long."""
    content = yaml.safe_load(MASKGIT.read_text())
    content["training"] = {
        stage: {"steps": 3, "batch_size": 8} for stage in ("tokenizer", "generator")
    }
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def train(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def test_a_training_leaves_the_weights_that_the_recipe_names(tmp_path, data, recipe):
    content = yaml.safe_load(recipe.read_text())
    content["files"] = {"backbone": "sub/of it/backbone.safetensors"}
    recipe.write_text(yaml.safe_dump(content))
    common = ("generator", "--recipe", recipe, "--data", data, "--out", tmp_path / "run")
    result = train(*common)
    assert result.exit_code == 0, result.output
    for name in ("sub/of it/backbone.safetensors", "decoder.safetensors"):
        assert (tmp_path / "run" / name).is_file()
    assert train(*common, "--stage", "backbone", "--resume").exit_code == 0


def test_the_classifier_says_its_accuracy(tmp_path, data):
    result = train("classifier", "--data", data, "--out", tmp_path / "run", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "test accuracy 0." in result.output
    assert (tmp_path / "run" / "classifier.safetensors").is_file()


def test_faults_are_one_line_and_status_2(tmp_path, data, recipe, refuse):
    bad = tmp_path / "bad.yaml"
    bad.write_text(recipe.read_text().replace("  tokenizer:", "  tokenizer:\n    pace: 3"))
    zero = tmp_path / "zero.yaml"
    zero.write_text(recipe.read_text().replace("steps: 3", "steps: 0"))
    cases = [
        (("--recipe", tmp_path / "none.yaml", "--data", data), "none.yaml"),
        (("--recipe", recipe, "--data", tmp_path / "none"), "dataset-fashion-mnist"),
        (("--recipe", bad, "--data", data), "training.tokenizer.pace: unknown key"),
        (("--recipe", zero, "--data", data), "training.tokenizer.steps: got 0"),
        (("--recipe", recipe, "--data", data, "--stage", "backbone"), "a trained tokenizer"),
        (("--recipe", recipe, "--data", data, "--stage", "decoder"), "training.decoder: missing"),
        (("--recipe", recipe, "--data", data, "--minutes", -1), "--minutes"),
    ]
    for arguments, named in cases:
        assert named in refuse("train", "generator", "--out", tmp_path / "run", *arguments)
        assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_recipe_without_a_training_section_is_refused(tmp_path, data, recipe):
    content = yaml.safe_load(recipe.read_text())
    del content["training"]
    recipe.write_text(yaml.safe_dump(content))
    result = train("generator", "--recipe", recipe, "--data", data, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "training: fashion-maskgit has no training section" in result.output


@pytest.mark.parametrize("family", ["maskgit", "var"])
def test_wide_images_are_learnt_at_their_size(tmp_path, family):
    content = wide_recipe(family, image_channels=3).model_dump(mode="json", exclude_none=True)
    short = {"steps": 1, "batch_size": 4}
    content["training"] = {"tokenizer": short, "decoder": short, "generator": short}
    content["decoder"]["channels"] = 16
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(content))
    for label in range(content["classes"]):
        (tmp_path / f"data/n{label}").mkdir(parents=True)
        Image.new("RGB", (60, 50), (9 * label, 80, 200)).save(tmp_path / f"data/n{label}/0.png")
    recipe, out = tmp_path / "wide.yaml", tmp_path / "run"
    done = train("generator", "--recipe", recipe, "--data", tmp_path / "data", "--out", out)
    assert done.exit_code == 0, done.output
    for stage in ("tokenizer", "decoder", "backbone"):
        [drawn] = (out / stage).glob("*.png")
        with Image.open(drawn) as picture:
            assert (picture.width % 40, picture.height % 24) == (0, 0)
