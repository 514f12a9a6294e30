"""`adagen-rt pull`: published weights by their name, and an engine of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from adagen_rt.cli.export import EXPORTED, export
from adagen_rt.errors import InputError, needs_extra
from adagen_rt.system import cache_folder


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Export to this engine folder, too.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Folder with the files that no hub has, which you fetch yourself; default: the folder "
    "`weights` of the user's cache.",
)
@click.option("--revision", help="Branch, tag or commit of the repository; default: main.")
@click.option(
    "--include",
    "variant",
    metavar="VARIANT",
    help="Variant of a pipeline's weights, such as fp16, where it has one.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be fetched, and from where.")
@click.option(
    "--dtype",
    type=click.Choice(tuple(EXPORTED)),
    default="fp32",
    show_default=True,
    help="As for `adagen-rt export`.",
)
@click.pass_context
def pull(
    context: click.Context,
    name: str,
    out: Path | None,
    weights: Path | None,
    revision: str | None,
    variant: str | None,
    dry_run: bool,
    dtype: str,
) -> None:
    """Fetch the weights of NAME from a hub, check them, and with --out export them.

    NAME is a published model (maskgit-l, maskgit-cc3m, dit-xl-2, dit-xl-2-512, sit-xl-2, var-d16,
    var-d30, var-d36-512), a recipe of your own with `sources`, or a repository that has a diffusers
    pipeline, as owner/name. Files go to the cache that all users of the hub share (HF_HUB_CACHE);
    what is there is not fetched again. Pickles are fetched only if a recipe names them, and code
    never.
    """
    with needs_extra("torch"):
        from adagen_rt.hub import pull as fetch
    recipe, by_hand = _meant(name), weights or cache_folder() / "weights"
    options: dict[str, Any] = {"revision": revision, "variant": variant, "dry": dry_run}
    pulled = fetch(recipe or name, by_hand, tell=click.echo, **options)
    if dry_run:
        return
    source = name if recipe else pulled.folders[0]
    if out is None:
        click.echo(f"all there: {', '.join(map(str, pulled.folders))}")
        click.echo(f"next: adagen-rt pull {name} --out ENGINE")
        return
    folders: Any = pulled.folders if recipe else None
    context.invoke(export, recipe=source, weights=folders, out=out, dtype=dtype)


def _meant(name: str) -> Any:
    """Read the recipe that a name means; None for a repository's name."""
    from adagen_rt.export.recipe import load_recipe, published_models, shipped_recipes
    from adagen_rt.export.sources import REPOSITORY

    if name in shipped_recipes() or name.endswith((".yaml", ".yml")):
        recipe = load_recipe(name)
        if lacking := recipe.weight_names().keys() - recipe.sources.keys():
            raise InputError(
                "NAME", name, f"sources in it of files.{', files.'.join(sorted(lacking))}"
            )
        return recipe
    if not re.match(REPOSITORY, name):
        names = ", ".join(published_models())
        raise InputError(
            "NAME", name, f"one of {names}, a recipe's file, or owner/name of a repository"
        )
    return None
