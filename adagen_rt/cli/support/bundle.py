"""What a policy training reads and leaves, so that its folder can be exported."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adagen_rt.errors import RecipeError
from adagen_rt.files import replace_file

if TYPE_CHECKING:
    from adagen_rt.export.recipe import Recipe

POLICY_FILE = "policy.safetensors"
CRITIC_FILE = "critic.safetensors"
DISCRIMINATOR_FILE = "discriminator.safetensors"
RECIPE_FILE = "recipe.yaml"


def trained_recipe(path: Path, steps: int | None, smoothing: float | None) -> Recipe:
    """A generator's recipe, with the policy that is about to be trained.

    Args:
        path: The recipe.
        steps: Another number of steps than it says.
        smoothing: Another smoothing than it says.
    """
    from adagen_rt.export.recipe import load_recipe

    recipe = load_recipe(path)
    if recipe.policy is None:
        raise RecipeError(f"{path}: policy: missing; its sizes are needed to train one")
    given = {"steps": steps, "smoothing": smoothing}
    changed = {name: value for name, value in given.items() if value is not None}
    schedule = recipe.schedule.model_copy(update=changed)
    files = recipe.files.model_copy(update={"policy": POLICY_FILE})
    return recipe.model_copy(update={"schedule": schedule, "files": files})


def without_policy_file(recipe: Recipe) -> Recipe:
    """The same recipe with a policy that starts afresh, and nothing that goes with an old one."""
    names = ("policy", "critic", "fidelity_policy", "reward")
    files = recipe.files.model_copy(update=dict.fromkeys(names))
    return recipe.model_copy(update={"files": files})


def with_judges(recipe: Recipe, std: float, width: int | None) -> Recipe:
    """A recipe that names what a training leaves beside its policy.

    Args:
        recipe: The policy's.
        std: Standard deviation of the last update's actions: what the critic knows best.
        width: Of the discriminator's heads; None if the reward had no discriminator.
    """
    assert recipe.policy is not None
    named: dict[str, str | None] = {"critic": CRITIC_FILE, "fidelity_policy": None, "reward": None}
    changed: dict[str, object] = {
        "policy": recipe.policy.model_copy(update={"refinement_std": std})
    }
    if width is not None:
        named["reward"] = DISCRIMINATOR_FILE
        changed["reward"] = recipe.reward.model_copy(update={"width": width})
    changed["files"] = recipe.files.model_copy(update=named)
    return recipe.model_copy(update=changed)


def prepare_export(recipe: Recipe, weights: Path, folder: Path, made: tuple[str, ...] = ()) -> None:
    """Put a recipe and the weights that it names into a folder, for `adagen-rt export`.

    Weights are linked, or copied where the file system cannot link; files that are there
    stay as they are.

    Args:
        recipe: What the folder is to hold.
        weights: Where its weights are.
        folder: Gets them.
        made: Names of weights that a training is about to write there itself.
    """
    import yaml

    text = yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), sort_keys=False)
    replace_file(folder / RECIPE_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    for name in recipe.files.named():
        source, target = weights / name, folder / name
        if name in made or target.exists():
            continue
        try:
            os.link(source, target)
        except OSError:
            replace_file(target, partial(shutil.copyfile, source))
