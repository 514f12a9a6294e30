"""`adagen-rt train policy`: a schedule policy for a frozen generator."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.bundle import (
    CRITIC_FILE,
    DISCRIMINATOR_FILE,
    POLICY_FILE,
    prepare_export,
    trained_recipe,
    with_judges,
    without_policy_file,
)
from adagen_rt.cli.support.environments import open_captioned, open_environment
from adagen_rt.cli.support.judges import TOKENIZER, Judging, check_rewards, make_judges
from adagen_rt.cli.support.policy_settings import policy_settings
from adagen_rt.cli.support.run_folder import RunFolder, records
from adagen_rt.cli.support.training_options import (
    again_options,
    features_option,
    machine_options,
    minutes_option,
    out_option,
    prepare_torch,
    recipe_options,
)
from adagen_rt.engine.folder import RECIPE_FILE
from adagen_rt.training.records import LOG

if TYPE_CHECKING:
    from adagen_rt.engine.manifest import Manifest
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.training.policy.evaluator import Watcher
    from adagen_rt.training.policy.parallel import Workers
    from adagen_rt.training.policy.run import PolicyTrainer

MADE = (POLICY_FILE, CRITIC_FILE, DISCRIMINATOR_FILE)


@click.command()
@recipe_options
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Real images: a folder of the Fashion-MNIST IDX files; with --features, of class folders; "
    "for prompts a captioned set: metadata.jsonl and pictures, or webdataset's tars. "
    "Without it, for rewards by files alone, the recipe's own conditions are asked for.",
)
@click.option(
    "--reward",
    "rewards",
    multiple=True,
    default=("adversarial",),
    show_default=True,
    metavar="NAME[=WEIGHT]",
    help="adversarial, classifier, fid, or onnx:FILE, a graph that gives images a number; given "
    "several times, their weighted sum.",
)
@features_option
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps; default: the recipe's.")
@click.option(
    "--smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    help="Weight of the previous step's action, 0 for none; default: the recipe's.",
)
@click.option(
    "--init",
    type=click.Path(path_type=Path),
    help="Folder of an earlier run to start from, with --set first_std= below its own.",
)
@out_option
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Overrides the recipe's training.policy, for example updates=100; with a prefix, "
    "discriminator.learning_rate=1e-4; a list is [100,200].",
)
@click.option(
    "--evaluate",
    default=1000,
    show_default=True,
    type=click.IntRange(2, 100_000),
    help="Images of each evaluation.",
)
@again_options
@minutes_option
@machine_options
def policy(
    recipe_file: Path,
    weights: Path,
    folder: Path,
    steps: int | None,
    smoothing: float | None,
    minutes: float | None,
    threads: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Train a policy by PPO.

    Writes the weights of policy and critic, and of the discriminator where the reward has one,
    recipe.yaml and links to the generator's weights into --out, so that `adagen-rt export
    OUT/recipe.yaml --weights OUT` makes an engine of them; checkpoint, log and pictures go to
    OUT/policy. Several processes train together under
    `torchrun -m adagen_rt train policy ...`.
    """
    prepare_torch(threads, options["device"])
    from adagen_rt.training.policy.parallel import Workers

    written = (*records("policy"), *MADE, RECIPE_FILE)
    recipe = trained_recipe(recipe_file, steps, smoothing)
    with Workers.connected() as workers:
        if workers.leads:
            run = RunFolder(folder, written, options["resume"], overwrite)
        trainer = _make_trainer(recipe, weights, folder, workers, options)
        if workers.leads:
            run.clear()
            config, adversarial = trainer.config, "discriminator" in trainer.networks()
            features = options["features"]
            if str(features) == TOKENIZER:  # an engine has no encoder to score images with
                features, adversarial = None, False
            std = config.std_at(config.updates - 1)
            recipe = with_judges(recipe, std, adversarial, features)
            prepare_export(recipe, weights, folder, made=MADE, features=features)
        trainer.run(minutes)
    if workers.leads:
        _draw_curves(trainer.records)
        click.echo(f"written: {folder / POLICY_FILE}")


def _make_trainer(
    recipe: Recipe, weights: Path, folder: Path, workers: Workers, options: Mapping[str, Any]
) -> PolicyTrainer:
    """Make all parts of a run; its networks start from the seed of its settings."""
    import torch

    from adagen_rt.export.description import describe_model
    from adagen_rt.export.networks import load_networks
    from adagen_rt.training.policy.evaluator import Evaluator
    from adagen_rt.training.policy.rewards import parse_rewards
    from adagen_rt.training.policy.run import PolicyTrainer

    config, adversary = policy_settings(recipe, options["settings"])
    parts = parse_rewards(options["rewards"])
    data, device = options["data"], options["device"]
    manifest = describe_model(recipe)
    check_rewards(manifest, parts, options["features"])
    captioned = open_captioned(recipe, data)
    torch.manual_seed(config.seed)
    networks = load_networks(without_policy_file(recipe), weights)
    assert networks.policy is not None
    asked = None if captioned is None else captioned.captions
    environment = open_environment(recipe, weights, networks, device, asked, bf16=config.bf16)
    settings = parts, recipe.reward, adversary, workers
    judging = Judging(environment, *settings, options["features"], data, captioned, device)
    reward, judge = make_judges(judging)
    trainer = PolicyTrainer(
        environment,
        networks.policy,
        reward,
        config,
        folder,
        evaluator=Evaluator(environment, judge, _painter(manifest), options["evaluate"]),
        resume=options["resume"],
        workers=workers,
    )
    if options["init"] is not None:
        trainer.begin_from(options["init"])
    return trainer


def _painter(manifest: Manifest) -> Watcher | None:
    """Make a watcher that draws schedules and curves, where matplotlib is installed."""
    from adagen_rt.cli.support.plots import Chosen, save_plot

    def draw(folder: Path, chosen: Chosen) -> None:
        spec = manifest.schedule
        title = f"{manifest.name}: schedule of the policy in training, {spec.steps} steps"
        save_plot(folder / "schedule.png", spec, spec.steps, chosen, title)
        _draw_curves(folder)

    return draw if find_spec("matplotlib") else None


def _draw_curves(folder: Path) -> None:
    from adagen_rt.cli.support.curves import save_curves

    if find_spec("matplotlib"):
        save_curves(folder / "curves.png", folder / LOG)
