"""`adagen-rt generate`: images from an engine."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import click

from adagen_rt.backends import Execution
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.classes import choose_seeds
from adagen_rt.cli.support.config import config_option
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.outputs import Outputs, output_options
from adagen_rt.cli.support.repeat import Asked, ask_again
from adagen_rt.cli.support.report import describe, failures, lines_of, summarize
from adagen_rt.cli.support.resume import Earlier
from adagen_rt.cli.support.run import Run
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.verbosity import LOGGER
from adagen_rt.cli.support.wanted import USUAL_COUNT, Wanted, wanted_options
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError, as_integer
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH, make_request
from adagen_rt.sampling.result import Result


@click.command()
@click.option("--engine", help="Engine folder, or the name of a shipped engine.")
@wanted_options
@click.option(
    "--count",
    type=int,
    help=f"Images in total. Default: {USUAL_COUNT}, or one for each prompt.",
)
@click.option(
    "--seed", type=int, help="Seed of the first image; the others count up. Default: drawn."
)
@click.option(
    "--repeat",
    type=NamedPath(),
    help="Make the images of an earlier run again: of a picture, .npz, trace, or what --json or "
    "--json-lines printed into a file.",
)
@output_options
@click.option("--batch-size", type=int, default=16, show_default=True, help="Images made together.")
@sampling_options()
@backend_options
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON.")
@click.option(
    "--json-lines", is_flag=True, help="Print a line of JSON for each image, as it is written."
)
@config_option
@click.pass_context
def generate(
    context: click.Context,
    engine: str | None,
    wanted: Wanted,
    count: int | None,
    seed: int | None,
    repeat: Path | None,
    outputs: Outputs,
    params: SamplingParams,
    batch_size: int,
    execution: Execution,
    as_json: bool,
    json_lines: bool,
) -> None:
    """Generate images.

    Everything is checked before anything is written. A sample that meets a non-finite number
    is reported and left out, and the exit status is 1. Every file says how its images were made.
    """
    if as_json and json_lines:
        raise InputError("json-lines", "--json as well", "one of them")
    as_integer("batch-size", batch_size, 1, MAX_BATCH)
    if outputs.preview is not None and params.best_of > 1:
        expected = "no --best-of: what is kept is known at the end"
        raise InputError("preview", str(outputs.preview), expected)
    earlier = Earlier(outputs.out, outputs.suffix) if outputs.resume else None
    if repeat is not None:
        asked = ask_again(context, repeat, engine, execution)
    elif engine is None:
        raise click.MissingParameter(param_hint="--engine", param_type="option")
    else:
        opened = open_engine(engine)
        first = earlier.first_seed if earlier and seed is None else seed
        given = wanted.choose(opened.manifest, count)
        seeds, strict = choose_seeds(first, len(given)), wanted.strict
        request = make_request(opened.manifest, given, seeds, params, strict=strict)
        asked = Asked(opened, request, execution)
    for note in asked.engine.manifest.condition.notes(asked.request.rows):
        LOGGER.warning("Warning: %s", note)
    run = Run(asked, outputs, earlier)
    style = "lines" if json_lines else "json" if as_json else "words"
    result = _make(run, outputs, batch_size, style)
    if result.failures:
        _report_failures(result)
        context.exit(1)


def _make(run: Run, outputs: Outputs, batch_size: int, style: str) -> Result:
    """Make everything, have it written, and say so in ``words``, as ``json`` or in ``lines``."""
    begin, parts, early = time.perf_counter(), [], style == "lines" and outputs.in_folder
    for part, names in run.make(batch_size, quiet=style != "words"):
        # Images that have been written are let go of.
        parts.append(replace(part, images=part.images[:0]) if outputs.in_folder else part)
        if early:
            _print_lines(part, names)
    total = time.perf_counter() - begin
    result = run.join(parts)
    files, shown = outputs.save(run.manifest, result, run.preview)
    if style != "lines":
        summary = summarize(result, total, files)
        click.echo(json.dumps(summary) if style == "json" else describe(summary, shown))
    elif not early:
        _print_lines(result, [outputs.out] * len(result.good))
    return result


def _print_lines(result: Result, files: list[Path]) -> None:
    """Print a line for each image; ``files`` are those of the good ones."""
    for line in lines_of(result, files):
        click.echo(line)


def _report_failures(result: Result) -> None:
    for failure in failures(result):
        index, step = failure.pop("index"), failure.pop("step")
        asked = ", ".join(f"{name} {value}" for name, value in failure.items())
        click.echo(
            f"Error: image {index} ({asked}) met a non-finite number at step {step}", err=True
        )
