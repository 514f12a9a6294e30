"""`adagen-rt bench`: latency of generations, by step and part."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from adagen_rt.backends import Execution
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.formats import NamedPath
from adagen_rt.cli.support.plots import check_plot, save_latencies
from adagen_rt.cli.support.refusing import refuse_options
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.tables import table
from adagen_rt.cli.support.throughput import throughput_page
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import InputError, as_integer
from adagen_rt.evaluation.latency import HOST, PARTS, PERCENTILES, Measurement, Plan, measure
from adagen_rt.pipeline.base import Pipeline
from adagen_rt.pipeline.load import make_pipeline
from adagen_rt.progress import bar
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import MAX_BATCH
from adagen_rt.sampling.result import Step
from adagen_rt.system import load_average

MAX_REPEATS = 100_000
WARMUPS = 2


@click.command()
@click.argument("engine")
@click.option("--batch", "batches", default="1,2,4,8,16", show_default=True, help="Batch sizes.")
@sampling_options()
@click.option(
    "--repeats", type=int, default=20, show_default=True, help="Generations of each batch size."
)
@backend_options
@click.option("--profile", is_flag=True, help="Also say where the time goes, step by step.")
@click.option(
    "--throughput",
    is_flag=True,
    help="Instead, find with how many processes, threads and images together most images are made "
    "on this CPU; `serve --workers auto` follows it.",
)
@click.option(
    "--plot",
    type=NamedPath(),
    help="Latency and throughput by batch size: .png, .svg or .pdf.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(
    engine: str,
    batches: str,
    params: SamplingParams,
    repeats: int,
    execution: Execution,
    profile: bool,
    throughput: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Time whole generations of ENGINE (a folder, or the name of a shipped engine).

    Latencies are percentiles of the time from a request to its images, after two generations that
    are not counted. In a profile, sampling is all between the networks: noise, tokens, the
    solver, and VAR's two small graphs; host is what no part accounts for. On a GPU, a batch that
    no plans were built for runs in the next larger ones, or in several of the largest.
    """
    sizes = _parse_batches(batches)
    as_integer("repeats", repeats, 1, MAX_REPEATS)
    check_plot(plot)
    opened = open_engine(engine)
    plan = Plan(params.check(opened.manifest), WARMUPS, repeats)
    if throughput:
        taken = {"profile": profile or None, "plot": plot}
        refuse_options(taken, "none with --throughput, which times nothing but images")
        click.echo(throughput_page(opened, plan.params, tuple(sizes), execution, as_json))
        return
    pipeline = make_pipeline(opened, execution)
    streams = "profile" if profile else None
    pipeline.capabilities.check(pipeline.backend, plan.params, streams=streams)
    facts = _conditions(pipeline, plan)
    measured = _measure_all(pipeline, sizes, plan, quiet=as_json)
    facts["load_after"] = load_average()
    if plot is not None:
        save_latencies(plot, measured, _title(pipeline, plan))
    click.echo(json.dumps(_record(facts, measured, profile)) if as_json else _page(facts, measured))
    if profile and not as_json:
        click.echo("".join(f"\n{_profile_page(one)}\n" for one in measured), nl=False)
    if plot is not None and not as_json:
        click.echo(f"\nwritten: {plot}")


def _parse_batches(text: str) -> list[int]:
    """Parse batch sizes from ``1,2,4``, in the order given."""
    sizes = text.split(",")
    if not all(size.strip().isdecimal() for size in sizes) or len(set(sizes)) < len(sizes):
        raise InputError("batch", text, "different sizes, such as 1,2,4")
    return [as_integer("batch", int(size), 1, MAX_BATCH) for size in sizes]


def _conditions(pipeline: Pipeline, plan: Plan) -> dict[str, Any]:
    """Describe the conditions of all measurements."""
    return {
        "engine": pipeline.manifest.name,
        "schedule": plan.params.schedule,
        **{name: value for name, value in plan.params.changed().items() if name != "schedule"},
        **pipeline.facts(),
        "cores": os.cpu_count(),
        "repeats": plan.repeats,
        "load_before": load_average(),
    }


def _title(pipeline: Pipeline, plan: Plan) -> str:
    """What a plot shows."""
    facts = ", ".join(f"{name} {value}" for name, value in pipeline.facts().items())
    schedule = f"{plan.params.schedule} schedule, {plan.steps} steps"
    return f"{pipeline.manifest.name}: {schedule}, {facts}"


def _measure_all(
    pipeline: Pipeline, sizes: list[int], plan: Plan, quiet: bool
) -> list[Measurement]:
    images = sum(sizes) * (plan.warmups + plan.repeats) * plan.params.best_of
    with bar(total=images * plan.steps, unit="step", hidden=quiet, leave=False) as progress:

        def tick(step: Step) -> None:
            progress.update(step.advanced)

        return [measure(pipeline, size, plan, tick) for size in sizes]


def _record(facts: dict[str, Any], measured: list[Measurement], profile: bool) -> dict[str, Any]:
    """Return the figures for JSON; a profile is in milliseconds, a row per step and one more."""
    results = [one.facts() for one in measured]
    if profile:
        for result, one in zip(results, measured, strict=True):
            columns = (1e3 * one.profile.T).tolist()
            result["profile_ms"] = dict(zip((*PARTS, HOST), columns, strict=True))
    return {**facts, "results": results}


def _page(facts: dict[str, Any], measured: list[Measurement]) -> str:
    """Format the figures for people."""
    title = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    header = ("batch", *(f"p{percent} ms" for percent in PERCENTILES), "images/s")
    rows = [
        (
            str(one.batch),
            *(f"{1e3 * seconds:.2f}" for seconds in one.percentiles),
            _rate(one.images_per_second),
        )
        for one in measured
    ]
    return f"{title}\n\n{table(header, rows)}"


def _rate(number: float) -> str:
    """Images a second; never 0 for what is only slow."""
    return f"{number:.2f}" if number >= 1 else f"{number:.2g}"


def _profile_page(one: Measurement) -> str:
    """Format milliseconds by step and part, their sum, and each part's share."""
    names = [*(str(step) for step in range(1, len(one.profile))), "after"]
    milliseconds = 1e3 * one.profile
    lines = [*zip(names, milliseconds, strict=True), ("all", milliseconds.sum(axis=0))]
    rows = [(name, *(f"{v:.3f}" for v in line), f"{line.sum():.3f}") for name, line in lines]
    shares = 100 * milliseconds.sum(axis=0) / milliseconds.sum()
    rows.append(("share", *(f"{share:.1f}%" for share in shares), ""))
    header = ("step", *PARTS, HOST, "total")
    return f"batch {one.batch}: mean milliseconds\n{table(header, rows)}"
