"""`adagen-rt train policy`: a run of two updates up to its engine, and the faults it names."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from process import run_python

torch = pytest.importorskip("torch")

from adagen_rt.cli.support.trained_for import EngineGenerator
from adagen_rt.engine.folder import shipped_engines
from adagen_rt.errors import InputError
from adagen_rt.export.description import describe_image
from adagen_rt.export.recipe import load_recipe
from adagen_rt.pipeline.load import load

SETTINGS = (
    *("updates=2", "trajectories=10", "epochs=1", "save_every=1", "std_drops=[]"),
    *("discriminator.steps=1", "discriminator.batch_size=10"),
)
QUICK = ("--evaluate", 10, *(part for setting in SETTINGS for part in ("--set", setting)))


@pytest.fixture
def arguments(data, model, tmp_path):
    recipe, weights = model
    paths = ("--engine-recipe", recipe, "--weights", weights, "--data", data)
    return ("train", "policy", *paths, "--out", tmp_path / "run", *QUICK)


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


@pytest.fixture(scope="module")
def plain(saved_model, tmp_path_factory, run):
    """An engine without a policy."""
    (recipe, weights), engine = saved_model, tmp_path_factory.mktemp("plain") / "engine"
    assert run("export", recipe, "--weights", weights, "--out", engine).exit_code == 0
    return engine


@pytest.fixture(scope="module")
def for_engine(saved_model, plain, data):
    """Arguments of a training for it, but the folder of the run."""
    return ("train", "policy", "--engine", plain, "--engine-recipe", saved_model[0], "--data", data)


@pytest.fixture(scope="module")
def trained(run, for_engine, tmp_path_factory):
    """The folder of such a run, which tests must not change."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    done = run(*for_engine, "--out", folder, *QUICK, "--steps", 6)
    assert done.exit_code == 0, done.output
    assert f"written: {folder / 'engine'}" in done.output
    return folder


def test_an_engine_alone_gets_a_policy(trained, refuse, for_engine, plain):
    made = trained / "engine"
    static = {"schedule": "static", "steps": 6}
    before, after = load(plain), load(made)
    assert after.manifest.schedule.steps == 6
    assert after.manifest.refinement_std == 0.1
    assert {"policy", "critic"} <= after.manifest.graphs.keys()
    one, other = (pipeline.generate([1, 2], [3, 4], **static) for pipeline in (before, after))
    assert (one.images == other.images).all()
    assert not after.generate([1, 2], [3, 4], refine=2).failures
    assert "--resume or --overwrite" in refuse(*for_engine, "--out", trained, *QUICK)


def test_an_engine_is_played_as_its_networks_are(run, trained, arguments, tmp_path):
    done = run(*arguments, "--steps", 6)
    assert done.exit_code == 0, done.output
    logs = [
        (folder / "policy" / "log.csv").read_text().splitlines()[-1].split(",")[1:5]
        for folder in (tmp_path / "run", trained)
    ]
    numbers = [[float(value) for value in line if value] for line in logs]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-3)


def test_a_policy_learns_to_stop(run, for_engine, arguments, tmp_path):
    options = ("--stopping", "--step-cost", 0.2, "--target-evaluations", 2, "--set", "updates=3")
    places = ("--out", tmp_path / "run", *QUICK)
    done = run(*for_engine, *places, *options, "--set", "step_cost_rate=0.5")
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "run" / "policy" / "log.csv").read_text().splitlines()
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    paid = [row for row in rows if row["step_cost"]]
    assert float(paid[0]["step_cost"]) == pytest.approx(0.2)
    for row, following in pairwise(paid):
        moved = max(0.0, float(row["step_cost"]) + 0.5 * (float(row["evaluations"]) - 2))
        assert float(following["step_cost"]) == pytest.approx(moved, rel=1e-4)
    engine = load(tmp_path / "run" / "engine")
    assert engine.manifest.schedule.stopping
    assert "stop" in engine.generate([1], [2]).schedule
    # A policy that stops can start from one that does not.
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(*arguments, "--out", first).exit_code == 0
    again = run(*arguments, "--out", second, "--stopping", "--init", first)
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (("--step-cost", 0.1), "step_cost: got 0.1, expected 0 where"),
        (("--target-evaluations", 3), "target_evaluations: got 3.0, expected 0 where"),
        (("--stopping", "--target-evaluations", 99), "target_evaluations: got 99.0"),
        (("--stopping", "--set", "step_cost=-1"), "step_cost"),
        (("--set", "bf16=true"), "bf16"),
        (("--weights", "here"), "none beside --engine"),
    ],
)
def test_what_an_engine_cannot_be_trained_with(refuse, for_engine, tmp_path, extra, named):
    assert named in refuse(*for_engine, "--out", tmp_path / "run", *QUICK, *extra)
    assert not (tmp_path / "run" / "engine").exists()


def test_an_engine_of_one_call_has_nothing_to_train():
    """As a recipe, whose exporter says the same."""
    engine = shipped_engines()["fashion-maskgit"]
    with pytest.raises(InputError, match=r"steps: got 1, expected at least 2$"):
        EngineGenerator(engine, None, {"steps": 1})
    assert EngineGenerator(engine, None, {"steps": 2}).manifest.schedule.steps == 2


def test_a_training_names_one_generator(refuse, tmp_path):
    told = refuse("train", "policy", "--out", tmp_path / "run")
    assert "--engine-recipe" in told
    assert "or else --engine" in told


@pytest.fixture(scope="module")
def earlier(run, saved_model, data, tmp_path_factory):
    """The folder of a run for the recipe's networks, which tests must not change."""
    (recipe, weights), folder = saved_model, tmp_path_factory.mktemp("earlier") / "run"
    paths = ("--engine-recipe", recipe, "--weights", weights, "--data", data, "--out", folder)
    assert run("train", "policy", *paths, *QUICK).exit_code == 0
    return folder


def test_a_second_run_is_bundled_as_the_fidelity_policy(run, earlier, arguments, tmp_path):
    main, other = earlier, tmp_path / "other"
    done = run(*arguments, "--out", other, "--reward", "classifier")
    assert done.exit_code == 0, done.output
    assert not (other / "discriminator.safetensors").exists()
    assert load_recipe(other / "recipe.yaml").files.reward is None
    engine = ("--weights", main, "--fidelity-from", other, "--out", tmp_path / "engine")
    done = run("export", main / "recipe.yaml", *engine)
    assert done.exit_code == 0, done.output
    assert not load(tmp_path / "engine").generate([1, 2], [3, 4], fidelity=0.5).failures


def test_a_policy_is_trained_anew_from_the_recipe_of_another_run(run, earlier, arguments, tmp_path):
    again = ("--engine-recipe", earlier / "recipe.yaml", "--weights", earlier)
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
        (("--set", "discriminator.steps=no"), "training.discriminator.steps"),
        (("--set", "std_drops=[a]"), "training.policy.std_drops"),
        (("--set", "std_drops=[1"), "training.policy.std_drops"),
        (("--set", "generator.width=3"), "--set: got 'generator.width=3'"),
        (("--set", "width"), "--set: got 'width'"),
        (("--steps", 5), "steps: got 5, expected an even number"),
        (("--smoothing", 1), "--smoothing"),
        (("--data", "/nowhere"), "--data"),
        (("--device", "foo"), "--device: got 'foo', expected cpu, or a device"),
        (("--device", "meta"), "--device: got 'meta'"),
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


@pytest.fixture
def colour(tmp_path):
    """Arguments of a generator of wide colour images; real ones lie in class folders."""
    from PIL import Image
    from safetensors.torch import save_file
    from tiny_recipes import tiny_networks, wide_recipe

    from adagen_rt.models.vit import ViT, ViTConfig
    from adagen_rt.training.checkpoint import save_weights

    recipe = wide_recipe("dit", image_channels=3)
    networks = tiny_networks(recipe)
    for name in ("backbone", "decoder"):
        save_weights(getattr(networks, name).state_dict(), tmp_path / f"{name}.safetensors")
    content = recipe.model_dump(mode="json", exclude_none=True)
    (tmp_path / "colour.yaml").write_text(yaml.safe_dump(content))
    for label in range(recipe.condition.count):
        (tmp_path / "data" / f"n{label}").mkdir(parents=True)
        for shade in range(4):
            image = Image.new("RGB", (40, 50), (9 * label, 60 * shade, 200))
            image.save(tmp_path / f"data/n{label}/{shade}.png")
    # Its own resolution is not the images'.
    save_file(ViT(ViTConfig(48, 4, 1, 8, 2)).state_dict(), tmp_path / "vit.safetensors")
    return recipe, {
        "generator": ("--engine-recipe", tmp_path / "colour.yaml", "--weights", tmp_path),
        "real": ("--data", tmp_path / "data", "--features", tmp_path / "vit.safetensors"),
    }


def test_a_model_of_ones_own_size_goes_all_the_way(run, colour, tmp_path):
    recipe, given = colour
    out, engine = tmp_path / "run", tmp_path / "engine"
    train = ("train", "policy", *given["generator"], *given["real"], *QUICK)
    done = run(*train, "--out", out)
    assert done.exit_code == 0, done.output
    assert len((out / "policy" / "log.csv").read_text().splitlines()) == 4
    done = run("export", out / "recipe.yaml", "--weights", out, "--out", engine)
    assert done.exit_code == 0, done.output
    result = load(engine).generate([1, 2], [3, 4], best_of=2, refine=2)
    assert result.images.shape == (2, *describe_image(recipe).size, 3) == (2, 24, 40, 3)
    assert not result.failures
    done = run("evaluate", engine, *given["real"], "--samples", 10, "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert "PooledFeatures" in facts["judge"]
    assert all(score["fid"] > 0 for score in facts["scores"].values())
    assert all(score["accuracy"] is None for score in facts["scores"].values())
    search = ("--candidates", 2, "--images", 10, "--batch-size", 5)
    tuned = ("--engine-recipe", out / "recipe.yaml", "--weights", out, "--out", out)
    done = run("train", "schedule", *tuned, *given["real"], *search)
    assert done.exit_code == 0, done.output
    assert load_recipe(out / "recipe.yaml").schedule.tuned is not None


def test_only_the_adversarial_reward_looks_at_other_images(refuse, colour, tmp_path):
    paths = (*colour[1]["generator"], *colour[1]["real"], "--out", tmp_path / "run")
    line = refuse("train", "policy", *paths, "--reward", "fid")
    assert "--reward: got 'fid', expected adversarial and onnx:FILE alone" in line


def test_an_earlier_run_is_kept_unless_asked(run, refuse, earlier, arguments, tmp_path):
    folder = shutil.copytree(earlier, tmp_path / "run")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    line = refuse(*arguments)
    assert "--resume or --overwrite" in line
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert "one of them" in refuse(*arguments, "--resume", "--overwrite")
    done = run(*arguments, "--overwrite", "--set", "updates=1")
    assert done.exit_code == 0, done.output
    assert len((folder / "policy" / "log.csv").read_text().splitlines()) == 3


#: The command in a process of its own, since pytest's workers take signals in their own way.
INTERRUPTED = """
import signal
import sys

from adagen_rt.cli import main
from adagen_rt.training.policy.run import PolicyTrainer

advance = PolicyTrainer._advance


def interrupted(self):
    numbers = advance(self)
    signal.raise_signal(signal.SIGTERM)
    return numbers


PolicyTrainer._advance = interrupted
main()
"""


def test_an_interrupted_run_keeps_its_updates(run, arguments, tmp_path):
    # Saved by the interrupt alone.
    many = (*arguments, "--set", "save_every=100")
    done = run_python(INTERRUPTED, *many)
    assert done.returncode == 143, done.stderr
    assert (tmp_path / "run" / "policy" / "checkpoint.pt").is_file()
    assert run(*many, "--resume").exit_code == 0
    whole = (tmp_path / "run" / "policy.safetensors").read_bytes()
    assert run(*many, "--out", tmp_path / "whole").exit_code == 0
    assert (tmp_path / "whole" / "policy.safetensors").read_bytes() == whole
