"""`adagen-rt quantize`: an engine's twin with 8-bit integer weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.engine.bundle import open_folder
from adagen_rt.errors import InputError, needs_extra
from adagen_rt.pipeline.load import check_threads


@click.command()
@click.argument("engine")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The engine folder to write."
)
@click.option("--name", help="Name of the new engine; default: ENGINE's with -int8 at its end.")
@click.option(
    "--half",
    is_flag=True,
    help="Store large weights as float16 instead, and compute as before: half the size, for any "
    "engine, also one with integers; the name stays.",
)
@click.option(
    "--tune",
    is_flag=True,
    help="Measure on this machine, with --threads, which layers integers make faster; the others "
    "stay float32. Let nothing else run meanwhile.",
)
@click.option("--threads", type=int, help="CPU threads; default: all that are available.")
def quantize(
    engine: str, out: Path, name: str | None, half: bool, tune: bool, threads: int | None
) -> None:
    """Write a twin of ENGINE whose large weights are 8-bit integers: smaller, faster, less exact.

    ENGINE is a float32 engine's folder, or the name of a shipped one. Layers that would cost
    more exactness than they save stay float32; README.md in the new folder has the measurements.
    """
    if half and tune:
        raise InputError("--tune", "with --half", "one of them: halves compute as before")
    with needs_extra("int8"):
        from adagen_rt.quantization import halve_engine, quantize_engine
    make = halve_engine if half else partial(quantize_engine, tune=tune)
    written = make(
        open_folder(engine),
        out,
        name=name,
        threads=check_threads(threads),
        progress=LOGGER.info,
    )
    plain = not half and written.manifest.dtype != "int8"
    exact = ", wholly float32: no layer can be integers" if plain else ""
    click.echo(f"written: {written.path}{exact}")
