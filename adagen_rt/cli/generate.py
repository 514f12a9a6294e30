"""`adagen-rt generate`: images from an engine."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.classes import choose_classes, choose_seeds
from adagen_rt.cli.support.outputs import Outputs
from adagen_rt.cli.support.report import describe, failures, summarize
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.watch import Preview, ProgressBar
from adagen_rt.engine.folder import open_engine
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import InputError, as_integer
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import check_threads, make_pipeline
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, Request, check_count, make_request
from adagen_rt.sampling.result import Result, Step

FilePath = click.Path(path_type=Path)


@click.command()
@click.option("--engine", required=True, help="Engine folder, or the name of a shipped engine.")
@click.option(
    "--label",
    "given",
    multiple=True,
    help="Class number, range such as 0-9, or name; repeatable. Images take the given "
    "classes in turn; without this option, all of them.",
)
@click.option("--count", type=int, default=16, show_default=True, help="Images in total.")
@click.option("--seed", type=int, help="Seed of the first image; the others count up from it.")
@click.option(
    "--out",
    type=FilePath,
    default=Path("out.png"),
    show_default=True,
    help="A name ending .png (one grid) or .npz (arrays of images, classes, seeds), or a folder "
    "(one PNG an image).",
)
@click.option("--batch-size", type=int, default=16, show_default=True, help="Images made together.")
@click.option("--threads", type=int, help="CPU threads; default: all that are available.")
@sampling_options()
@backend_options
@click.option("--preview", type=FilePath, help="Picture of the first samples after each step.")
@click.option("--plot", type=FilePath, help="Picture of every action over the steps.")
@click.option("--trace", type=FilePath, help="JSON of what was chosen for each image.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.pass_context
def generate(
    context: click.Context,
    engine: str,
    given: tuple[str, ...],
    count: int,
    seed: int | None,
    out: Path,
    params: SamplingParams,
    batch_size: int,
    threads: int | None,
    backend: str,
    provider: str | None,
    preview: Path | None,
    plot: Path | None,
    trace: Path | None,
    as_json: bool,
) -> None:
    """Generate images.

    Everything is checked before anything is written. A sample that meets a non-finite number
    is reported and left out, and the exit status is 1.
    """
    check_count("count", count)
    as_integer("batch-size", batch_size, 1, MAX_BATCH)
    check_threads(threads)
    if preview is not None and params.best_of > 1:
        raise InputError("preview", str(preview), "no --best-of: what is kept is known at the end")
    opened = open_engine(engine)
    classes, numbers = choose_classes(opened.manifest, given, count), choose_seeds(seed, count)
    request = make_request(opened.manifest, classes, numbers, params)
    outputs = Outputs(out, preview, plot, trace)
    outputs.check(count, request.steps, opened.manifest.image)
    pipeline = make_pipeline(opened, backend, threads, provider)
    streams = None if preview is None else "preview"
    pipeline.capabilities.check(backend, request.params, streams=streams)
    watcher = Preview(preview is not None, request.steps)
    begin = time.perf_counter()
    result = _run(pipeline, request, batch_size, watcher, quiet=as_json)
    total = time.perf_counter() - begin
    files, shown = outputs.save(opened.manifest, result, request, watcher)
    summary = summarize(opened.manifest, result, request, total, files)
    click.echo(json.dumps(summary) if as_json else describe(summary, shown))
    _report_failures(context, opened.manifest, result)


def _run(
    pipeline: Pipeline, request: Request, batch_size: int, preview: Preview, quiet: bool
) -> Result:
    total = len(request) * request.steps * request.params.best_of
    with ProgressBar(total, quiet) as progress:

        def watch(step: Step) -> None:
            progress.add(step)
            preview.add(step)

        return pipeline.run(request, batch_size=batch_size, progress=watch)


def _report_failures(context: click.Context, manifest: Manifest, result: Result) -> None:
    for failure in failures(manifest, result):
        index, step = failure.pop("index"), failure.pop("step")
        asked = ", ".join(f"{name} {value}" for name, value in failure.items())
        click.echo(
            f"Error: image {index} ({asked}) met a non-finite number at step {step}", err=True
        )
    if result.failures:
        context.exit(1)
