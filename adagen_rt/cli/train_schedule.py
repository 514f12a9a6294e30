"""`adagen-rt train schedule`: the best static schedule that a random search finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adagen_rt.cli.support.bundle import prepare_export
from adagen_rt.cli.support.run_folder import RunFolder
from adagen_rt.cli.support.training_options import (
    again_options,
    data_option,
    features_option,
    machine_options,
    out_option,
    prepare_torch,
    recipe_options,
)
from adagen_rt.engine.folder import RECIPE_FILE

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.training.policy.search import SearchConfig, Statics


@click.command()
@recipe_options
@data_option
@features_option
@click.option("--candidates", type=int, default=100, show_default=True, help="Schedules to try.")
@click.option("--images", type=int, default=1000, show_default=True, help="Images under each.")
@click.option("--batch-size", type=int, default=250, show_default=True, help="Made together.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the candidates.")
@out_option
@again_options
@machine_options
def schedule(
    recipe_file: Path,
    weights: Path,
    data: Path,
    features: Path | None,
    candidates: int,
    images: int,
    batch_size: int,
    seed: int,
    folder: Path,
    resume: bool,
    overwrite: bool,
    threads: int | None,
    device: str,
) -> None:
    """Search the few numbers of a generator's static schedule.

    This is what a policy has to beat: give it as many images (candidates times images) as the
    policy's training took (updates times trajectories). The winner by FID goes into
    OUT/recipe.yaml, from which `adagen-rt export OUT/recipe.yaml --weights OUT` makes an
    engine that `generate --tuned` and `evaluate` can run under it; OUT/search.csv has them all.
    """
    prepare_torch(threads, device)
    from adagen_rt.export.recipe import load_recipe
    from adagen_rt.training.policy.search import SearchConfig

    recipe = load_recipe(recipe_file)
    config = SearchConfig(candidates, images, batch_size, seed)
    # A run's own recipe gets the schedule added; another is somebody's work.
    same = recipe_file.resolve() == (folder / RECIPE_FILE).resolve()
    run = RunFolder(folder, ("search.csv", *(() if same else (RECIPE_FILE,))), resume, overwrite)
    found = _search(recipe, weights, (data, features), config, run, device)
    tuned = recipe.schedule.model_copy(update={"tuned": found})
    prepare_export(recipe.changed(schedule=tuned), weights, folder)
    click.echo(json.dumps([static.model_dump() for static in found]))
    click.echo(f"written: {folder / RECIPE_FILE}")


def _search(
    recipe: Recipe,
    weights: Path,
    real: tuple[Path, Path | None],
    config: SearchConfig,
    run: RunFolder,
    device: str,
) -> Statics:
    from adagen_rt.cli.support.environments import open_captioned, open_environment
    from adagen_rt.cli.support.judges import open_judge
    from adagen_rt.export.description import describe_model
    from adagen_rt.export.networks import load_networks
    from adagen_rt.training.policy.search import search

    manifest = describe_model(recipe)
    judge = open_judge("--engine-recipe", manifest, *real, device)
    networks = load_networks(recipe, weights)
    captioned = open_captioned(manifest, real[0])
    asked = None if captioned is None else captioned.captions
    environment = open_environment(recipe, weights, networks, device, asked)
    run.clear()
    return search(environment, judge, config, run.folder, run.resume)
