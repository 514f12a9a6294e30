"""`adagen-rt generate`: images from an engine."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adagen_rt.backends import DEVICE_BACKENDS
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.labels import choose_labels, choose_seeds
from adagen_rt.cli.support.outputs import Outputs
from adagen_rt.cli.support.report import describe, failures, summarize
from adagen_rt.cli.support.watch import Preview, Progress
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError
from adagen_rt.pipeline.load import check_threads, make_generator
from adagen_rt.pipeline.stepwise import Generator
from adagen_rt.sampling.request import (
    MAX_BATCH,
    MAX_CANDIDATES,
    Request,
    Static,
    as_integer,
    check_count,
    make_request,
)
from adagen_rt.sampling.result import Result, Step

if TYPE_CHECKING:
    from adagen_rt.pipeline.captured import DeviceGenerator

FilePath = click.Path(path_type=Path)


@click.command()
@click.option("--engine", required=True, help="Engine folder, or the name of a shipped engine.")
@click.option(
    "--label",
    "labels",
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
    help="A name ending .png (one grid) or .npz (arrays images, labels, seeds), or a folder "
    "(one PNG an image).",
)
@click.option("--steps", type=int, help="Backbone evaluations; default: the engine's own.")
@click.option("--batch-size", type=int, default=16, show_default=True, help="Images made together.")
@click.option("--threads", type=int, help="CPU threads; default: all that are available.")
@click.option("--static", is_flag=True, help="Use the hand-made schedule and not the policy.")
@click.option("--tuned", is_flag=True, help="Use the static schedule that a search found best.")
@click.option(
    "--fidelity",
    type=float,
    default=0.0,
    show_default=True,
    help="From 0, the adversarially trained policy (diverse), to 1, the one trained for fidelity.",
)
@click.option(
    "--refine",
    type=int,
    default=1,
    show_default=True,
    help="Actions tried at each step, of which the critic keeps one; costs as many times as much.",
)
@click.option(
    "--best-of",
    type=int,
    default=1,
    show_default=True,
    help="Images made of each, of which the reward model keeps one; costs as many times as much. "
    "Try 2: among many it prefers too few kinds.",
)
@backend_options
@click.option("--preview", type=FilePath, help="Picture of the first samples after each step.")
@click.option("--plot", type=FilePath, help="Picture of every action over the steps.")
@click.option("--trace", type=FilePath, help="JSON of what was chosen for each image.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.pass_context
def generate(
    context: click.Context,
    engine: str,
    labels: tuple[str, ...],
    count: int,
    seed: int | None,
    out: Path,
    steps: int | None,
    batch_size: int,
    threads: int | None,
    static: bool,
    tuned: bool,
    fidelity: float,
    refine: int,
    best_of: int,
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
    as_integer("best-of", best_of, 1, MAX_CANDIDATES)
    check_threads(threads)
    if static and tuned:
        raise InputError("--tuned", "--static as well", "one of the two")
    if preview is not None and best_of > 1:
        raise InputError("preview", str(preview), "no --best-of: what is kept is known at the end")
    if preview is not None and backend in DEVICE_BACKENDS:
        raise InputError("preview", str(preview), f"none with {backend}: it has no steps to show")
    chosen: Static = "tuned" if tuned else static
    opened = open_engine(engine)
    classes, seeds = choose_labels(opened.manifest, labels, count), choose_seeds(seed, count)
    request = make_request(
        opened.manifest,
        classes,
        seeds,
        steps,
        static=chosen,
        fidelity=fidelity,
        refine=refine,
        best_of=best_of,
    )
    outputs = Outputs(out, preview, plot, trace)
    outputs.check(count, request.steps, opened.manifest.image)
    generator = make_generator(opened, backend, threads, provider)
    watcher = Preview(preview is not None, request.steps)
    begin = time.perf_counter()
    result = _run(generator, request, chosen, batch_size, watcher, quiet=as_json)
    total = time.perf_counter() - begin
    files, shown = outputs.save(opened.manifest, result, request, watcher)
    summary = summarize(opened.manifest, result, request, total, files)
    click.echo(json.dumps(summary) if as_json else describe(summary, shown))
    _report_failures(context, result)


def _run(
    generator: Generator | DeviceGenerator,
    request: Request,
    static: Static,
    batch_size: int,
    preview: Preview,
    quiet: bool,
) -> Result:
    with Progress(len(request) * request.steps * request.best_of, quiet) as progress:

        def watch(step: Step) -> None:
            progress.add(step)
            preview.add(step)

        return generator.generate(
            request.labels.tolist(),
            request.seeds.tolist(),
            steps=request.steps,
            static=static,
            fidelity=request.fidelity.tolist(),
            refine=request.refine,
            best_of=request.best_of,
            batch_size=batch_size,
            progress=watch,
        )


def _report_failures(context: click.Context, result: Result) -> None:
    for failure in failures(result):
        click.echo(
            "Error: image {index} (label {label}, seed {seed}) met a non-finite number at "
            "step {step}".format(**failure),
            err=True,
        )
    if result.failures:
        context.exit(1)
