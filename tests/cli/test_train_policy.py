"""`adagen-rt train policy`: a run of two updates up to its engine, and the faults it names."""

from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip("torch")

from adagen_rt.export.recipe import load_recipe
from adagen_rt.pipeline.load import load

QUICK = ("updates=2", "trajectories=10", "epochs=1", "minibatch=10", "save_every=1")


@pytest.fixture
def arguments(data, model, tmp_path):
    recipe, weights = model
    paths = ("--engine-recipe", recipe, "--weights", weights, "--data", data)
    quick = [part for setting in QUICK for part in ("--set", setting)]
    return ("train", "policy", *paths, "--out", tmp_path / "run", "--evaluate", 10, *quick)


def test_a_trained_policy_can_be_exported_and_run(run, arguments, tmp_path):
    folder = tmp_path / "run"
    rewards = ("--reward", "adversarial", "--reward", "classifier=0.1", "--reward", "fid=0.01")
    done = run(*arguments, *rewards, "--steps", 6, "--smoothing", 0)
    assert done.exit_code == 0, done.output
    assert str(folder / "policy.safetensors") in done.output
    records = {path.name for path in (folder / "policy").iterdir()}
    assert {"checkpoint.pt", "log.csv", "curves.png", "schedule.png"} <= records
    recipe = load_recipe(folder / "recipe.yaml")
    assert (recipe.schedule.steps, recipe.schedule.smoothing) == (6, 0.0)
    done = run("export", folder / "recipe.yaml", "--weights", folder, "--out", tmp_path / "engine")
    assert done.exit_code == 0, done.output
    assert (recipe.files.critic, recipe.files.reward) == (
        "critic.safetensors",
        "discriminator.safetensors",
    )
    assert recipe.policy.refinement_std == 0.1
    refined = load(tmp_path / "engine").generate([1, 2], [3, 4], refine=2, best_of=2)
    assert refined.timings.backbone_rows == 2 * 2 * 2 * 2 * 6
    result = load(tmp_path / "engine").generate([1, 2], [3, 4])
    assert len(result.schedule["time"]) == 7
    assert not result.failures


def test_a_second_run_is_bundled_as_the_fidelity_policy(run, arguments, tmp_path):
    main, other = tmp_path / "run", tmp_path / "other"
    assert run(*arguments).exit_code == 0
    done = run(*arguments, "--out", other, "--reward", "classifier")
    assert done.exit_code == 0, done.output
    assert not (other / "discriminator.safetensors").exists()
    assert load_recipe(other / "recipe.yaml").files.reward is None
    engine = ("--weights", main, "--fidelity-from", other, "--out", tmp_path / "engine")
    done = run("export", main / "recipe.yaml", *engine)
    assert done.exit_code == 0, done.output
    assert not load(tmp_path / "engine").generate([1, 2], [3, 4], fidelity=0.5).failures


def test_a_policy_is_trained_anew_from_the_recipe_of_another_run(run, arguments, tmp_path):
    assert run(*arguments).exit_code == 0
    again = ("--engine-recipe", tmp_path / "run" / "recipe.yaml", "--weights", tmp_path / "run")
    done = run(*arguments, *again, "--out", tmp_path / "again")
    assert done.exit_code == 0, done.output


def test_a_run_goes_on_where_it_stopped(run, arguments, tmp_path):
    log = tmp_path / "run" / "policy" / "log.csv"
    assert run(*arguments, "--minutes", 0).exit_code == 0
    assert len(log.read_text().splitlines()) == 3
    assert run(*arguments, "--resume").exit_code == 0
    assert len(log.read_text().splitlines()) == 4


def test_the_shipped_recipes_survive_being_written_again(tmp_path):
    for path in sorted((Path(__file__).parents[2] / "export").glob("*.yaml")):
        recipe = load_recipe(path)
        content = yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True))
        (tmp_path / path.name).write_text(content)
        assert load_recipe(tmp_path / path.name) == recipe


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("--reward", "fit"), "reward: got 'fit', expected one of adversarial"),
        (("--set", "pace=3"), "training.policy.pace: unknown key"),
        (("--set", "trajectories=0"), "trajectories: got 0"),
        (("--set", "discriminator.width=no"), "training.discriminator.width"),
        (("--set", "generator.width=3"), "--set: got 'generator.width=3'"),
        (("--set", "width"), "--set: got 'width'"),
        (("--steps", 5), "steps: got 5, expected an even number"),
        (("--smoothing", 1), "--smoothing"),
        (("--data", "/nowhere"), "--data"),
        (("--weights", "/nowhere"), "backbone.safetensors"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(refuse, arguments, tmp_path, extra, named):
    assert named in refuse(*arguments, *extra)
    assert not list((tmp_path / "run").glob("*.*"))


def test_a_generator_that_the_rewards_cannot_judge_is_refused(refuse, arguments):
    published = Path(__file__).parents[2] / "export" / "dit-xl-2.yaml"
    assert "256 x 256 in 3 channels" in refuse(*arguments, "--engine-recipe", published)


def test_a_recipe_without_a_policy_is_refused(refuse, arguments, model):
    content = yaml.safe_load(model[0].read_text())
    del content["policy"]
    model[0].write_text(yaml.safe_dump(content))
    assert "policy: missing" in refuse(*arguments)


def test_colour_images_are_judged_through_a_vision_transformer(run, tmp_path):
    from PIL import Image
    from safetensors.torch import save_file
    from tiny_recipes import tiny_networks, tiny_recipe

    from adagen_rt.models.vit import ViT, ViTConfig
    from adagen_rt.training.checkpoint import save_weights

    recipe = tiny_recipe("dit", image_channels=3)
    networks = tiny_networks(recipe)
    for name in ("backbone", "decoder"):
        path = tmp_path / f"{name}.safetensors"
        save_weights(getattr(networks, name).state_dict(), path)
    content = recipe.model_dump(mode="json", exclude_none=True)
    (tmp_path / "colour.yaml").write_text(yaml.safe_dump(content))
    for label in range(recipe.condition.count):
        (tmp_path / "data" / f"n{label}").mkdir(parents=True)
        Image.new("RGB", (40, 50), (9 * label, 80, 200)).save(tmp_path / f"data/n{label}/a.png")
    save_file(ViT(ViTConfig(64, 4, 1, 8, 2)).state_dict(), tmp_path / "vit.safetensors")
    paths = ("--engine-recipe", tmp_path / "colour.yaml", "--weights", tmp_path)
    more = ("--data", tmp_path / "data", "--features", tmp_path / "vit.safetensors")
    quick = [part for setting in QUICK for part in ("--set", setting)]
    out = tmp_path / "run"
    done = run("train", "policy", *paths, *more, *quick, "--evaluate", 10, "--out", out)
    assert done.exit_code == 0, done.output
    line = (out / "policy" / "log.csv").read_text().splitlines()[1:]
    assert (out / "policy.safetensors").is_file()
    assert len(line) == 3
    refused = run("train", "policy", *paths, *more, "--reward", "fid", "--out", out)
    assert "--reward: got 'fid', expected adversarial alone" in refused.stderr
