"""`adagen-rt export`: an engine from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from adagen_rt.cli.support.refusing import refuse_options
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.sections import Dtype
from adagen_rt.errors import InputError, needs_extra
from adagen_rt.extent import Extent
from adagen_rt.sampling.option import read_size

#: Short names of the dtypes.
DTYPES: dict[str, Dtype] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
#: A folder with this file is a pipeline of diffusers.
INDEX = "model_index.json"
EXPORTED: dict[str, Dtype] = {**DTYPES, "int8": "int8"}


@click.command()
@click.argument("recipe", metavar="RECIPE|FOLDER", type=click.Path(path_type=Path))
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
@click.option(
    "--size",
    metavar="SIDE|WIDTHxHEIGHT",
    callback=lambda context, parameter, given: None if given is None else read_size(given),
    help="Pixels of the images of a diffusers pipeline; default: its own.",
)
@click.option(
    "--guidance",
    type=float,
    help="Guidance scale of a diffusers pipeline's static schedule, as diffusers counts it; "
    "default: the pipeline's own.",
)
@click.option("--out", type=click.Path(path_type=Path), help="The engine folder to write.")
@click.option(
    "--check",
    is_flag=True,
    help="Only tell whether recipe and weights fit together, with every fault that there is; "
    "nothing is exported.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Of a diffusers pipeline: make every graph without weights, and tell their sizes and the "
    "memory that an export takes; no weights are read, and nothing is written.",
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
    size: Extent | None,
    guidance: float | None,
    out: Path | None,
    check: bool,
    dry_run: bool,
    dtype: str,
) -> None:
    """Export the model that RECIPE (a YAML file) describes to an engine folder.

    FOLDER is a pipeline of diffusers, with a model_index.json; it has its own weights, so that of
    the options that say where they are it takes --seeded alone.

    Each graph is compared with PyTorch before the engine appears at --out; until then an
    older engine there stays as it is.
    """
    with needs_extra("torch"):
        from adagen_rt.export import check_export, export_engine
    if (Path(recipe) / INDEX).is_file():
        taken = {"weights": weights, "fidelity-from": fidelity_from, "weights-key": weights_keys}
        refuse_options(taken, "none with a diffusers pipeline, which has its own")
        options = {"size": size, "guidance": guidance, "seeded": seeded}
        if check or dry_run:
            _tell_pipeline(Path(recipe), dry_run, dtype, options)
        else:
            _export_pipeline(Path(recipe), out, dtype, options)
        return
    if dry_run:
        raise InputError("dry-run", str(recipe), "a diffusers pipeline; recipes have --check")
    refuse_options({"size": size, "guidance": guidance}, "none with a recipe, which has its own")
    source: dict[str, Any] = {
        "weights": weights,
        "fidelity_from": fidelity_from,
        "weights_keys": dict(_parse_key(given) for given in weights_keys),
        "progress": LOGGER.info,
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


def _export_pipeline(folder: Path, out: Path | None, dtype: str, options: dict[str, Any]) -> None:
    with needs_extra("diffusers"):
        from adagen_rt.export.diffusers import export_pipeline
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    engine = export_pipeline(folder, out, dtype=EXPORTED[dtype], progress=LOGGER.info, **options)
    click.echo(f"written: {engine.path}")


def _tell_pipeline(folder: Path, dry_run: bool, dtype: str, options: dict[str, Any]) -> None:
    """Tell what an export would make, of the graphs themselves in a dry run."""
    with needs_extra("diffusers"):
        from adagen_rt.export.diffusers import dry_export, plan_pipeline
    if dry_run and dtype not in DTYPES:
        raise InputError("dtype", dtype, f"one of {', '.join(DTYPES)} in a dry run")
    plan = plan_pipeline(folder, **options)
    for line in plan.facts():
        click.echo(line)
    for line in dry_export(plan, DTYPES[dtype], LOGGER.info) if dry_run else [plan.weights]:
        click.echo(line)


def _parse_key(given: str) -> tuple[str, str]:
    """Read ``[FILE=]KEY``."""
    name, equals, key = given.partition("=")
    return (name, key) if equals else ("backbone", given)
