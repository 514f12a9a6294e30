"""`adagen-rt train`: demo generators from a recipe, and policies for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.run_folder import RECORDS, RunFolder, records
from adagen_rt.cli.support.training_options import (
    data_option,
    device_option,
    examples_option,
    minutes_option,
    out_option,
    overwrite_option,
    prepare_torch,
    resume_option,
    threads_option,
)
from adagen_rt.cli.train_policy import policy
from adagen_rt.cli.train_schedule import schedule
from adagen_rt.errors import InputError, RecipeError

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe


@click.group()
def train() -> None:
    """Train the networks of a demo model, or a schedule for a generator."""


train.add_command(policy)
train.add_command(schedule)


@train.command()
@click.option("--recipe", "recipe_file", required=True, type=click.Path(path_type=Path))
@examples_option
@out_option
@click.option("--stage", type=click.Choice(["tokenizer", "backbone", "all"]), default="all")
@resume_option
@overwrite_option
@minutes_option
@threads_option
@device_option
def generator(
    recipe_file: Path,
    folder: Path,
    stage: str,
    threads: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Train a generator and its tokenizer as a recipe says.

    Writes the weight files that the recipe names into the run's folder, ready for
    `adagen-rt export --weights`.
    """
    prepare_torch(threads, options["device"])
    from adagen_rt.export.recipe import load_recipe

    recipe = load_recipe(recipe_file)
    parts = ("tokenizer", "backbone") if stage == "all" else (stage,)
    files = {"tokenizer": recipe.files.decoder, "backbone": recipe.files.backbone}
    names = {part: (*records(part), files[part]) for part in parts}
    runs = {part: RunFolder(folder, names[part], options["resume"], overwrite) for part in parts}
    for part, run in runs.items():
        _run_stage(recipe, part, run, **options)


@train.command()
@data_option
@out_option
@click.option(
    "--role",
    type=click.Choice(["classifier", "examiner"]),
    default="classifier",
    show_default=True,
    help="What it is for: rewards and tokenizers, or the scores that they must not see.",
)
@click.option("--steps", type=click.IntRange(min=1), default=3000, show_default=True)
@resume_option
@overwrite_option
@threads_option
@device_option
def classifier(
    data: Path,
    folder: Path,
    role: str,
    steps: int,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Train a network that judges generated images."""
    prepare_torch(threads, device)
    import torch

    from adagen_rt.evaluation.data import load_fashion_mnist
    from adagen_rt.evaluation.examiner import Examiner
    from adagen_rt.models.classifier import Classifier
    from adagen_rt.training.demo.classifier import ClassifierTask, train_classifier

    run = RunFolder(folder, (f"{role}.safetensors", *RECORDS), resume, overwrite)
    torch.manual_seed(0)
    network = Classifier() if role == "classifier" else Examiner()
    task = ClassifierTask(network, load_fashion_mnist(data, "train"), device)
    test = load_fashion_mnist(data, "test")
    run.clear()
    accuracy = train_classifier(task, test, folder / f"{role}.safetensors", steps, resume)
    click.echo(f"test accuracy {accuracy:.4f}")


def _run_stage(
    recipe: Recipe,
    part: str,
    run: RunFolder,
    data: Path,
    resume: bool,
    minutes: float | None,
    device: str,
) -> None:
    import torch

    from adagen_rt.export.description import describe_model
    from adagen_rt.training.demo.examples import load_examples
    from adagen_rt.training.demo.generator import (
        Stage,
        load_autoencoder,
        train_backbone,
        train_tokenizer,
    )

    if recipe.prompts is not None:
        expected = "classes: the demo's pictures have no prompts"
        raise InputError("recipe", f"{recipe.name}, which takes prompts", expected)
    folder = run.folder
    stage = Stage(_loop_config(recipe, part), folder, resume, minutes, device)
    manifest = describe_model(recipe)
    examples = load_examples(data, manifest.image, recipe.condition.variety)
    torch.manual_seed(stage.loop.seed)
    decoder: Any = recipe.make_decoder()
    if part == "tokenizer":
        run.clear()
        train_tokenizer(decoder, examples.pixels, manifest.image, stage, recipe.files.decoder)
        return
    load_autoencoder(decoder, folder / recipe.files.decoder)
    backbone: Any = recipe.make_backbone()
    run.clear()
    train_backbone(backbone, decoder, examples, manifest, stage, recipe.files.backbone)


def _loop_config(recipe: Recipe, part: str) -> Any:
    from adagen_rt.export.recipe import build
    from adagen_rt.training.demo.loop import LoopConfig

    if recipe.training is None:
        raise RecipeError(f"training: {recipe.name} has no training section")
    name = "tokenizer" if part == "tokenizer" else "generator"
    try:
        return build(LoopConfig, getattr(recipe.training, name))
    except ValueError as error:
        raise RecipeError(f"training.{name}.{error}") from error
