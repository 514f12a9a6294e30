"""`adagen-rt triton-repository`: engines as models of Triton."""

from __future__ import annotations

from pathlib import Path

import click

from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.engine.bundle import open_folder
from adagen_rt.errors import as_integer
from adagen_rt.extent import MAX_SIDE
from adagen_rt.pipeline.load import check_threads
from adagen_rt.sampling.request import MAX_BATCH
from adagen_rt.serving.batching.engine import MAX_QUEUE
from adagen_rt.serving.triton.repository import ModelOptions, write_repository

MAX_INSTANCES = 1024


@click.command("triton-repository")
@click.argument("engines", metavar="ENGINE...", nargs=-1, required=True)
@click.option(
    "--out", type=NamedPath(), required=True, help="The repository to write, or to add to."
)
@click.option(
    "--max-batch", type=int, default=16, show_default=True, help="Samples under way at once."
)
@click.option(
    "--max-queue", type=int, default=64, show_default=True, help="Requests that can wait for one."
)
@click.option(
    "--max-side",
    type=int,
    help="Longest side of images, where there are sizes; default: what the engine has.",
)
@click.option("--threads", type=int, help="CPU threads of an instance; default: all.")
@click.option("--instances", type=int, default=1, show_default=True, help="Processes of a model.")
def triton_repository(
    engines: tuple[str, ...],
    out: Path,
    max_batch: int,
    max_queue: int,
    max_side: int | None,
    threads: int | None,
    instances: int,
) -> None:
    """Write a model repository of Triton for each ENGINE (a folder, or a shipped engine's name).

    NAME sends previews and joins requests step by step; NAME-batch answers once, in batches that
    Triton joins. The server needs this package where its Python backend looks for packages.
    """
    as_integer("max-batch", max_batch, 1, MAX_BATCH)
    as_integer("max-queue", max_queue, 1, MAX_QUEUE)
    as_integer("instances", instances, 1, MAX_INSTANCES)
    if max_side is not None:
        as_integer("max-side", max_side, 1, MAX_SIDE)
    if threads is not None:
        check_threads(threads)
    opened = [open_folder(engine) for engine in engines]
    given = [
        (str(folder.path.resolve()) if folder.path == Path(name) else name, folder)
        for name, folder in zip(engines, opened, strict=True)
    ]
    options = ModelOptions(threads, max_batch, max_queue, instances, max_side)
    for model in write_repository(given, out, options):
        click.echo(f"written: {model}")
