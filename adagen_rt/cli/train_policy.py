"""`adagen-rt train policy`: a schedule policy for a frozen generator."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.environments import open_captioned
from adagen_rt.cli.support.judges import Judging, check_rewards, make_judges
from adagen_rt.cli.support.policy_settings import policy_settings
from adagen_rt.cli.support.run_folder import RunFolder, records
from adagen_rt.cli.support.trained_for import MADE, TrainedFor, open_generator
from adagen_rt.cli.support.training_options import (
    again_options,
    features_option,
    generator_options,
    machine_options,
    minutes_option,
    out_option,
    prepare_torch,
)
from adagen_rt.training.records import LOG

if TYPE_CHECKING:
    from adagen_rt.engine.manifest import Manifest
    from adagen_rt.training.policy.evaluator import Watcher
    from adagen_rt.training.policy.parallel import Workers
    from adagen_rt.training.policy.run import PolicyTrainer


@click.command()
@generator_options
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
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps; default: the generator's.")
@click.option(
    "--smoothing",
    type=click.FloatRange(0, 1, max_open=True),
    help="Weight of the previous step's action, 0 for none; default: the generator's.",
)
@click.option(
    "--stopping",
    is_flag=True,
    help="The policy may end a sample early, whatever the generator's says; see --step-cost.",
)
@click.option(
    "--step-cost",
    type=click.FloatRange(0),
    help="Price of an evaluation, in standard deviations of the rewards; for --stopping.",
)
@click.option(
    "--target-evaluations",
    type=click.FloatRange(0),
    help="Evaluations an image that the price is moved towards, instead of one that stays.",
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
def policy(folder: Path, minutes: float | None, overwrite: bool, **options: Any) -> None:
    """Train a policy by PPO.

    Writes the weights of policy and critic, and of the discriminator where the reward has one,
    recipe.yaml and links to the generator's weights into --out, so that `adagen-rt export
    OUT/recipe.yaml --weights OUT` makes an engine of them; checkpoint, log and pictures go to
    OUT/policy. With --engine, OUT/engine is that engine. Several processes train together under
    `torchrun -m adagen_rt train policy ...`.
    """
    prepare_torch(options["threads"], options["device"])
    from adagen_rt.training.policy.parallel import Workers

    changes = {name: options[name] for name in ("steps", "smoothing")}
    changes["stopping"] = options["stopping"] or None
    named = {name: options[name] for name in ("recipe_file", "weights", "engine")}
    generator = open_generator(**named, changes=changes)
    written = (*records("policy"), *MADE, *generator.files)
    options["settings"] += _price(options)
    with Workers.connected() as workers:
        if workers.leads:
            run = RunFolder(folder, written, options["resume"], overwrite)
        trainer = _make_trainer(generator, folder, workers, options)
        if workers.leads:
            run.clear()
            generator.prepare(folder, trainer, options["features"])
        trainer.run(minutes)
    if workers.leads:
        _draw_curves(trainer.records)
        click.echo(f"written: {generator.finish(folder, trainer)}")


def _price(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Write the options of a price as settings."""
    names = ("step_cost", "target_evaluations")
    return tuple(f"{name}={options[name]}" for name in names if options[name] is not None)


def _make_trainer(
    generator: TrainedFor, folder: Path, workers: Workers, options: Mapping[str, Any]
) -> PolicyTrainer:
    """Make all parts of a run; its networks start from the seed of its settings."""
    import torch

    from adagen_rt.training.policy.evaluator import Evaluator
    from adagen_rt.training.policy.rewards import parse_rewards
    from adagen_rt.training.policy.run import PolicyTrainer

    manifest, data, device = generator.manifest, options["data"], options["device"]
    config, adversary = policy_settings(generator.recipe, options["settings"])
    parts = parse_rewards(options["rewards"])
    check_rewards(manifest, parts, options["features"], generator.field)
    captioned = open_captioned(manifest, data)
    torch.manual_seed(config.seed)
    policy = generator.policy()
    asked = None if captioned is None else captioned.captions
    environment = generator.environment(device, asked, config.bf16)
    settings = parts, generator.reward, adversary, workers
    judging = Judging(environment, *settings, options["features"], data, captioned, device)
    reward, judge = make_judges(judging)
    trainer = PolicyTrainer(
        environment,
        policy,
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
