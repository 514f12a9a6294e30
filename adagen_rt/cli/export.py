"""`adagen-rt export`: an engine from trained weights."""

from __future__ import annotations

from pathlib import Path

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
    "--out", required=True, type=click.Path(path_type=Path), help="The engine folder to write."
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
    out: Path,
    dtype: str,
) -> None:
    """Export the model that RECIPE (a YAML file) describes to an engine folder.

    Each graph is compared with PyTorch before the engine appears at --out; until then an
    older engine there stays as it is.
    """
    try:
        from adagen_rt.export import export_engine
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "torch") from error
    engine = export_engine(
        recipe,
        out,
        weights=weights,
        fidelity_from=fidelity_from,
        seeded=seeded,
        dtype=EXPORTED[dtype],
        progress=lambda message: click.echo(message, err=True),
    )
    click.echo(f"written: {engine.path}")
