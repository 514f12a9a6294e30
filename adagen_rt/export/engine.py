"""Export of a recipe and its weights to an engine folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import metadata
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch

from adagen_rt.engine.folder import RECIPE_FILE, EngineFolder
from adagen_rt.engine.manifest import FRESH, SEEDED, UNTRAINED, Manifest
from adagen_rt.engine.sections import Dtype, GraphSpec
from adagen_rt.errors import InputError, RecipeError
from adagen_rt.export.description import describe_model
from adagen_rt.export.graphs import plan_graphs
from adagen_rt.export.networks import Networks, lay_out, load_networks, seed_networks
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe, load_recipe
from adagen_rt.export.tokenizers import find_tokenizers
from adagen_rt.export.writing import export_as, export_graphs
from adagen_rt.types import Tell

#: A folder of weight files, or several, of which the first that has a file is meant.
Weights = str | Path | Sequence[Path]


def export_engine(
    recipe: str | Path | Recipe,
    out: str | Path,
    *,
    weights: Weights | None = None,
    fidelity_from: str | Path | None = None,
    seeded: str | None = None,
    weights_keys: Mapping[str, str] | None = None,
    dtype: Dtype = "float32",
    progress: Tell = lambda message: None,
) -> EngineFolder:
    """Export a model to an engine folder, whole or not at all.

    Args:
        recipe: A recipe, or the path of one.
        out: The engine folder; an engine that is there is replaced when all is done.
        weights: Folder with the recipe's weight files, or several.
        fidelity_from: Folder of another policy training of the same generator, whose policy
            becomes the engine's fidelity policy.
        seeded: Instead of `weights`, a tag that determines every weight.
        weights_keys: Where in its file a network lies, by the network's name; without one, what
            fits is taken, and of that a moving average first.
        dtype: Precision of the matrix products; ``int8`` exports in float32 and then converts
            their weights.
        progress: Called with a line about what happens next.

    Raises:
        AdagenError: The recipe, a file or the exported graph is wrong.
    """
    if seeded is not None and fidelity_from is not None:
        raise InputError("fidelity-from", str(fidelity_from), "none with a seed tag")
    recipe, other = _complete_recipe(recipe, fidelity_from)
    if (weights is None) == (seeded is None):
        given = None if weights is None else str(weights)
        raise InputError("weights", given, "a folder of weight files, or else a seed tag")
    texts = find_tokenizers(recipe.condition, [] if weights is None else _folders(weights))
    if seeded is not None:
        make = partial(seed_networks, recipe, seeded)
    else:
        folders = _folders(weights)
        make = partial(load_networks, recipe, folders, other, keys=weights_keys, tell=progress)

    def export(target: Path, precision: Dtype) -> EngineFolder:
        options: dict[str, Any] = {"seeded": seeded, "progress": progress, "beside": texts}
        return export_networks(recipe, make, target, dtype=precision, **options)

    return export_as(dtype, Path(out), recipe.name, export, progress)


def check_export(
    recipe: str | Path | Recipe,
    *,
    weights: Weights | None = None,
    fidelity_from: str | Path | None = None,
    weights_keys: Mapping[str, str] | None = None,
    progress: Tell = lambda message: None,
) -> Recipe:
    """Check a recipe and its weights as an export does, and write nothing.

    Arguments are those of `export_engine`; without `weights`, only the recipe is checked.

    Returns:
        The recipe, complete.

    Raises:
        AdagenError: The message tells of every fault.
    """
    recipe, other = _complete_recipe(recipe, fidelity_from)
    if weights is None:
        lay_out(recipe)
    else:
        folders = _folders(weights)
        find_tokenizers(recipe.condition, folders)
        load_networks(recipe, folders, other, keys=weights_keys, tell=progress)
    return recipe


def _folders(weights: Weights | None) -> Sequence[Path]:
    if isinstance(weights, Sequence) and not isinstance(weights, str):
        return weights
    return [Path(str(weights))]


def _complete_recipe(
    recipe: str | Path | Recipe, fidelity_from: str | Path | None
) -> tuple[Recipe, Path | None]:
    """Read a recipe and add the fidelity policy that lies in another folder, if there is one."""
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe)
    if fidelity_from is None:
        return recipe, None
    return with_fidelity(recipe, Path(fidelity_from)), Path(fidelity_from)


def with_fidelity(recipe: Recipe, folder: Path) -> Recipe:
    """Copy a recipe with the policy of another training as its fidelity policy.

    Raises:
        RecipeError: The two policies cannot be blended.
    """
    path = folder / RECIPE_FILE
    other = load_recipe(path)
    if other.policy is None or other.files.policy is None:
        raise RecipeError(f"{path}: files.policy: missing; the folder of a policy training has one")
    shared = [f"schedule.{name}" for name in ("steps", "smoothing", "residual", "actions")]
    for field in ("family", "backbone", "solver", "policy.hidden", "policy.grid", *shared):
        got, expected = (attrgetter(field)(one) for one in (other, recipe))
        if got != expected:
            raise RecipeError(f"{path}: {field}: differs from that of the recipe to export")
    files = recipe.files.model_copy(update={"fidelity_policy": other.files.policy})
    return recipe.changed(files=files)


def export_networks(
    recipe: Recipe,
    make: Callable[[], Networks],
    out: str | Path,
    *,
    dtype: Dtype = "float32",
    seeded: str | None = None,
    progress: Tell = lambda message: None,
    beside: Sequence[Path] = (),
) -> EngineFolder:
    """Export the networks that `make` gives; other arguments as for `export_engine`.

    `make` is called once, so that the weights can be freed before ONNX Runtime loads its own.
    The files ``beside``, such as tokenizers, are copied into the engine folder.
    """

    def plans() -> Iterator[GraphPlan]:
        left = plan_graphs(recipe, make())
        while left:
            yield left.pop(0)

    def copy(folder: Path) -> None:
        for path in beside:
            shutil.copyfile(path, folder / path.name)

    describe = partial(_manifest, recipe, dtype=dtype, seeded=seeded)
    options: dict[str, Any] = {"dtype": dtype, "progress": progress}
    return export_graphs(out, plans, describe, beside=copy, **options)


def _manifest(
    recipe: Recipe, graphs: dict[str, GraphSpec], *, dtype: Dtype, seeded: str | None
) -> Manifest:
    versions = {
        "adagen-rt": metadata.version("adagen-rt"),
        "torch": torch.__version__,
        "onnx": metadata.version("onnx"),
    }
    if seeded is not None:
        versions |= {SEEDED: seeded}
    elif recipe.policy is not None and recipe.files.policy is None:
        versions |= {FRESH: UNTRAINED}
    written = {"graphs": graphs, "dtype": dtype, "versions": versions}
    return describe_model(recipe).model_copy(update=written)
