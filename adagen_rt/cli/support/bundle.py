"""Recipes and weights of a policy training's folder, which `adagen-rt export` reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from adagen_rt.engine.folder import RECIPE_FILE
from adagen_rt.engine.schedule import DEFAULT_STOP, ScheduleSpec
from adagen_rt.errors import RecipeError
from adagen_rt.files import replace_file

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe

POLICY_FILE = "policy.safetensors"
CRITIC_FILE = "critic.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"


def trained_recipe(path: Path, changes: Mapping[str, Any]) -> Recipe:
    """Read a generator's recipe, with a fresh policy to train.

    Args:
        path: The recipe.
        changes: See `changed_schedule`.
    """
    from adagen_rt.export.recipe import load_recipe

    recipe = load_recipe(path)
    if recipe.policy is None:
        raise RecipeError(f"{path}: policy: missing; its sizes are needed to train one")
    schedule = changed_schedule(recipe.schedule, changes)
    files = recipe.files.model_copy(update={"policy": POLICY_FILE})
    return recipe.changed(schedule=schedule, files=files, sources={})


def changed_schedule(schedule: ScheduleSpec, changes: Mapping[str, Any]) -> ScheduleSpec:
    """Copy a schedule with other settings: `steps`, `smoothing`, `stopping`; None changes none.

    One of another number of steps has no tuned schedule, which was searched for its own.
    """
    changed = {name: value for name, value in changes.items() if value is not None}
    if changed.get("steps", schedule.steps) != schedule.steps:
        changed["tuned"] = None
    if changed.get("stopping") and not schedule.stopping and schedule.tuned is not None:
        changed["tuned"] = (*schedule.tuned, DEFAULT_STOP.static)
    return ScheduleSpec.model_validate({**dict(schedule), **changed})


def without_policy_file(recipe: Recipe) -> Recipe:
    """Copy a recipe without the files of a trained policy and its companions."""
    names = ("policy", "critic", "fidelity_policy", "reward", "features")
    files = recipe.files.model_copy(update=dict.fromkeys(names))
    return recipe.changed(files=files)


def with_judges(
    recipe: Recipe, std: float, adversarial: bool, features: Path | None = None
) -> Recipe:
    """Copy a recipe with the critic and, where there is one, the discriminator of a training.

    Args:
        recipe: The policy's recipe.
        std: Standard deviation of the last update's actions, where the critic is most exact.
        adversarial: Whether there is a discriminator.
        features: Weights of the transformer that it judges through; None is the built-in one.
    """
    assert recipe.policy is not None
    named: dict[str, str | None] = {"critic": CRITIC_FILE, "fidelity_policy": None, "reward": None}
    changed: dict[str, object] = {
        "policy": recipe.policy.model_copy(update={"refinement_std": std})
    }
    # A graph that scores prompts' images would have to hold the text encoder, too.
    if adversarial and recipe.prompts is None:
        named["reward"] = DISCRIMINATOR_FILE
        named["features"] = None if features is None else f"features{features.suffix}"
    changed["files"] = recipe.files.model_copy(update=named)
    return recipe.changed(**changed)


def prepare_export(
    recipe: Recipe,
    weights: Path,
    folder: Path,
    made: tuple[str, ...] = (),
    features: Path | None = None,
) -> None:
    """Put a recipe and the weights that it names into a folder, for `adagen-rt export`.

    Weights are linked, or copied where the file system cannot link, in place of an earlier
    run's.

    Args:
        recipe: The recipe to put into the folder.
        weights: Folder of the weights that it names.
        folder: The folder to fill.
        made: Names of weights that the training itself will write there.
        features: Where the weights of the reward's features are, if the recipe names them.
    """
    import yaml

    from adagen_rt.export.tokenizers import find_tokenizers

    text = yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), sort_keys=False)
    replace_file(folder / RECIPE_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    for name in recipe.files.named():
        if name in made:
            continue
        given = features if name == recipe.files.features else None
        for source, target in _sources(weights, name, given).items():
            _link(source, folder / target)
    for tokenizer in find_tokenizers(recipe.condition, [weights]):
        _link(tokenizer, folder / tokenizer.name)


def _sources(weights: Path, name: str, given: Path | None) -> dict[Path, str]:
    """Where a recipe's weight file or its shards lie, with the names that an export looks for."""
    from adagen_rt.models.located import INDEX, locate
    from adagen_rt.models.sharded import is_index, list_shards

    source = given or locate([weights], name)
    if not is_index(source):
        return {source: name}
    place = PurePosixPath(name)
    index = place if is_index(Path(name)) else place.with_name(place.name + INDEX)
    parts = {source.with_name(part): str(place.with_name(part)) for part in list_shards(source)}
    return {source: str(index), **parts}


def _link(source: Path, target: Path) -> None:
    """Link what a path leads to, or copy it, in place of what is there."""
    source = source.resolve()  # a hub's cache has relative links
    if target.exists() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        replace_file(target, partial(shutil.copyfile, source))
