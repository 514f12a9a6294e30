"""`adagen-rt train generator`: a tokenizer and a generator from a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.run_folder import RunFolder, records
from adagen_rt.cli.support.training_options import (
    again_options,
    examples_option,
    machine_options,
    minutes_option,
    out_option,
    prepare_torch,
)
from adagen_rt.errors import RecipeError

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.training.demo.examples import Examples


#: The stages in order, and whose settings in a recipe they take.
SETTINGS = {"tokenizer": "tokenizer", "decoder": "decoder", "backbone": "generator"}


@click.command()
@click.option("--recipe", "recipe_file", required=True, type=click.Path(path_type=Path))
@examples_option
@out_option
@click.option("--stage", type=click.Choice([*SETTINGS, "all"]), default="all")
@again_options
@minutes_option
@machine_options
def generator(
    recipe_file: Path,
    folder: Path,
    stage: str,
    data: Path,
    threads: int | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Train a generator and its tokenizer as a recipe says.

    Writes the weight files that the recipe names into the run's folder, ready for
    `adagen-rt export --weights`. The stage decoder, for recipes that have settings for it, trains
    the tokenizer's decoder on; codes and backbone stay what they are. A recipe with prompts wants
    captioned pictures, and has a text encoder trained along.
    """
    prepare_torch(threads, options["device"])
    from adagen_rt.export.description import describe_model
    from adagen_rt.export.recipe import load_recipe
    from adagen_rt.training.demo.examples import load_examples

    recipe = load_recipe(recipe_file)
    parts = _stages(recipe) if stage == "all" else (stage,)
    # What the decoder's stage writes is what it begins with.
    files = {
        "tokenizer": [recipe.files.decoder],
        "decoder": [],
        "backbone": _backbone_files(recipe),
    }
    names = {part: (*records(part), *files[part]) for part in parts}
    runs = {part: RunFolder(folder, names[part], options["resume"], overwrite) for part in parts}
    loops = {part: _loop_config(recipe, part) for part in parts}
    examples = load_examples(data, describe_model(recipe).image, recipe.condition.variety)
    if "backbone" in parts:
        _check_condition(recipe, examples)
    for part, run in runs.items():
        _run_stage(recipe, part, run, examples, loops[part], **options)


def _stages(recipe: Recipe) -> tuple[str, ...]:
    """Name the stages that a recipe has settings for; who has none for the decoder trains none."""
    further = recipe.training is not None and recipe.training.decoder is not None
    return tuple(part for part in SETTINGS if part != "decoder" or further)


def _backbone_files(recipe: Recipe) -> list[str]:
    """Name what the second stage writes: the generator, and how it reads prompts."""
    names = [recipe.files.backbone, recipe.files.text]
    return [*filter(None, names), *recipe.condition.files]


def _loop_config(recipe: Recipe, part: str) -> Any:
    from adagen_rt.export.recipe import build
    from adagen_rt.training.demo.settings import LoopConfig, TokenizerConfig

    if recipe.training is None:
        raise RecipeError(f"training: {recipe.name} has no training section")
    name = SETTINGS[part]
    settings = getattr(recipe.training, name)
    if settings is None:
        raise RecipeError(f"training.{name}: missing; the stage {part} has no settings")
    config = TokenizerConfig if part == "tokenizer" else LoopConfig
    try:
        return build(config, settings)
    except ValueError as error:
        raise RecipeError(f"training.{name}.{error}") from error


def _check_condition(recipe: Recipe, examples: Examples) -> None:
    """Refuse pictures that do not say what the generator is told, before any training."""
    from adagen_rt.training.demo.generator import check_conditions

    if recipe.prompts is not None and recipe.text is None:
        raise RecipeError("text: missing; prompts are trained with an encoder of their own")
    check_conditions(examples, recipe.condition)


def _run_stage(
    recipe: Recipe,
    part: str,
    run: RunFolder,
    examples: Examples,
    loop: Any,
    resume: bool,
    minutes: float | None,
    device: str,
) -> None:
    import torch

    from adagen_rt.export.description import describe_model
    from adagen_rt.training.demo.generator import (
        Stage,
        load_autoencoder,
        train_backbone,
        train_decoder,
        train_tokenizer,
    )
    from adagen_rt.training.demo.prompts import Prompted

    folder = run.folder
    stage = Stage(loop, folder, resume, minutes, device)
    manifest = describe_model(recipe)
    torch.manual_seed(stage.loop.seed)
    decoder: Any = recipe.make_decoder()
    images = examples.pixels, manifest.image, stage, recipe.files.decoder
    if part == "tokenizer":
        run.clear()
        train_tokenizer(decoder, *images)
        return
    load_autoencoder(decoder, folder / recipe.files.decoder)
    if part == "decoder":
        run.clear()
        train_decoder(decoder, *images)
        return
    backbone: Any = recipe.make_backbone()
    if (text := recipe.make_text()) is not None:
        backbone = Prompted(text, backbone)
    run.clear()
    if recipe.prompts is not None:
        _learn_words(recipe, examples.captions, folder)
        manifest = manifest.within(folder)
    files = recipe.files.model_dump(exclude_none=True)
    train_backbone(backbone, decoder, examples, manifest, stage, files)


def _learn_words(recipe: Recipe, captions: Sequence[str], folder: Path) -> None:
    """Make the run's tokenizer, unless an earlier run has made it."""
    from adagen_rt.training.demo.prompts import learn_words

    for file in recipe.condition.files:
        if not (folder / file).is_file():
            learn_words(captions, recipe.text.words, folder / file)
