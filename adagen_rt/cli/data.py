"""`adagen-rt data`: sets of captioned pictures that anyone can make again."""

from __future__ import annotations

import json
from pathlib import Path

import click

from adagen_rt.cli.support.tables import table
from adagen_rt.cli.support.training_options import out_option, overwrite_option
from adagen_rt.errors import InputError
from adagen_rt.files import check_writable


@click.group()
def data() -> None:
    """Make a set of captioned pictures."""


@data.command()
@out_option
@click.option(
    "--packages",
    type=click.Path(path_type=Path),
    help="Folder of the npm packages' archives; by default the user's cache folder. "
    "What is missing there is fetched by npm.",
)
@click.option("--size", type=click.IntRange(8, 1024), default=64, show_default=True)
@overwrite_option
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def emoji(folder: Path, packages: Path | None, size: int, overwrite: bool, as_json: bool) -> None:
    """Render captioned emoji in four styles, in colour on white.

    A prompt names the style and the thing: "flat style: red apple". Every part is a folder of
    PNGs with a metadata.jsonl of prompts, tags, licences and sources.
    """
    from adagen_rt.data.emoji import make_emoji
    from adagen_rt.data.emoji.make import MARKER
    from adagen_rt.data.emoji.packages import PACKAGES
    from adagen_rt.npm import fetch
    from adagen_rt.system import cache_folder

    check_writable("out", folder, folder=True)
    if (folder / MARKER).exists() and not overwrite:
        raise InputError("out", str(folder), "a new folder, or --overwrite")
    packages = packages or cache_folder() / "npm"
    fetch(packages, PACKAGES, "--packages")
    counts = make_emoji(folder, packages, size)
    if as_json:
        click.echo(json.dumps({"out": str(folder), "size": size, "pictures": counts}))
        return
    rows = [(part, str(count)) for part, count in counts.items()]
    click.echo(table(("part", "pictures"), rows))
