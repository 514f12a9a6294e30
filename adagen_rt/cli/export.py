"""`adagen-rt export`: an engine from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adagen_rt.engine.manifest import Dtype
from adagen_rt.errors import MissingExtraError

#: Short names of the dtypes.
DTYPES: dict[str, Dtype] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
EXPORTED: dict[str, Dtype] = {**DTYPES, "int8": "int8"}


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Folder with the recipe's weight files."
)
@click.option(
    "--fidelity-from",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="The --out of another `train policy` of this generator, rewarded for fidelity: its policy "
    "is what `generate --fidelity` turns to.",
)
@click.option(
    "--seeded",
    metavar="TAG",
    help="Instead of --weights: fill every tensor with noise that TAG determines, to try or "
    "time a model without its weights.",
)
@click.option(
    "--weights-key",
    "weights_keys",
    metavar="[FILE=]KEY",
    multiple=True,
    help="Where in its file a network lies, such as model_ema; default: what fits, and of that a "
    "moving average first. FILE is a name under the recipe's `files`, such as decoder; without "
    "one, the backbone's.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The engine folder to write.")
@click.option(
    "--check",
    is_flag=True,
    help="Only tell whether recipe and weights fit together, with every fault that there is; "
    "nothing is exported.",
)
@click.option(
    "--dtype",
    type=click.Choice(tuple(EXPORTED)),
    default="fp32",
    show_default=True,
    help="Precision of the matrix products; int8 is that of their weights, as `adagen-rt quantize` "
    "makes it of a float32 engine.",
)
def export(
    recipe: Path,
    weights: Path | None,
    fidelity_from: Path | None,
    seeded: str | None,
    weights_keys: tuple[str, ...],
    out: Path | None,
    check: bool,
    dtype: str,
) -> None:
    """Export the model that RECIPE (a YAML file) describes to an engine folder.

    Each graph is compared with PyTorch before the engine appears at --out; until then an
    older engine there stays as it is.
    """
    try:
        from adagen_rt.export import check_export, export_engine
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    source: dict[str, Any] = {
        "weights": weights,
        "fidelity_from": fidelity_from,
        "weights_keys": dict(_parse_key(given) for given in weights_keys),
        "progress": lambda message: click.echo(message, err=True),
    }
    if check:
        checked = check_export(recipe, **source)
        what = "recipe" if weights is None else "recipe and weights"
        click.echo(f"{checked.name}: {what} can be exported")
        return
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    engine = export_engine(recipe, out, seeded=seeded, dtype=EXPORTED[dtype], **source)
    click.echo(f"written: {engine.path}")


def _parse_key(given: str) -> tuple[str, str]:
    """Read ``[FILE=]KEY``."""
    name, equals, key = given.partition("=")
    return (name, key) if equals else ("backbone", given)
