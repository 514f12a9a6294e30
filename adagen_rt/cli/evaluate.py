"""`adagen-rt evaluate`: scores of an engine's images under each of its schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.backends import Execution
from adagen_rt.cli.support.backend_options import backend_options
from adagen_rt.cli.support.judges import open_judge
from adagen_rt.cli.support.sampling_options import sampling_options
from adagen_rt.cli.support.tables import table
from adagen_rt.cli.support.training_options import (
    data_option,
    device_option,
    features_option,
    prepare_torch,
)
from adagen_rt.engine.folder import open_engine
from adagen_rt.errors import as_integer
from adagen_rt.evaluation.images import draw_request, make_images
from adagen_rt.pipeline.load import make_pipeline
from adagen_rt.sampling.params import SCHEDULES, SamplingParams, ScheduleName, schedule_names
from adagen_rt.sampling.request import MAX_BATCH, MAX_COUNT

if TYPE_CHECKING:
    from adagen_rt.evaluation.judge import Score

#: Smallest number of images; fewer give no useful scores, and precision and recall need neighbours.
MIN_SAMPLES = 10


@click.command()
@click.argument("engine")
@data_option
@features_option
@click.option("--samples", type=int, default=5000, show_default=True, help="Images a schedule.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images.")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    type=click.Choice(SCHEDULES),
    help="Which to score; repeatable. Default: all that the engine has.",
)
@sampling_options("steps", "fidelity", "refine", "best_of")
@click.option("--batch-size", type=int, default=50, show_default=True, help="Images made together.")
@backend_options
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(
    engine: str,
    data: Path,
    features: Path | None,
    samples: int,
    seed: int,
    schedules: tuple[ScheduleName, ...],
    params: SamplingParams,
    batch_size: int,
    execution: Execution,
    device: str,
    as_json: bool,
) -> None:
    """Score the images of ENGINE (a folder, or the name of a shipped engine).

    FID and KID are distances to the training images (smaller is better), precision is the
    share of images that look real, recall the share of the real variety that they cover,
    accuracy the share recognised as the class that was asked for. All are measured in the
    features of a network that no reward looks through, on --device; FIDs measured in other
    networks' features are on other scales.
    """
    as_integer("samples", samples, MIN_SAMPLES, MAX_COUNT)
    as_integer("seed", seed, 0, 1_000_000)
    as_integer("batch-size", batch_size, 1, MAX_BATCH)
    opened = open_engine(engine)
    manifest = opened.manifest
    # A static schedule has no policy to blend or refine.
    adaptive = params.blended or params.refine > 1
    wanted = schedules or (("policy",) if adaptive else schedule_names(manifest))
    # All are checked before the judge computes features of the real images, which takes long.
    requests = {
        name: draw_request(manifest, samples, seed, replace(params, schedule=name))
        for name in wanted
    }
    pipeline = make_pipeline(opened, execution)
    for request in requests.values():
        pipeline.capabilities.check(pipeline.backend, request.params)
    prepare_torch(execution.threads, device)
    judge = open_judge("engine", manifest, data, features, device)
    scores = {
        name: judge.score_result(make_images(pipeline, request, batch_size, name))
        for name, request in requests.items()
    }
    facts = {
        "engine": manifest.name,
        "steps": next(iter(requests.values())).steps,
        "seed": seed,
        **{name: value for name, value in params.changed().items() if name != "steps"},
        **pipeline.facts(),
        "judge": judge.describe(),
        "scores": {name: asdict(score) for name, score in scores.items()},
    }
    click.echo(json.dumps(facts) if as_json else _page(facts, scores))


def _page(facts: Mapping[str, Any], scores: Mapping[ScheduleName, Score]) -> str:
    rows = [
        (
            name,
            f"{score.fid:.3f}",
            f"{score.kid:.4f}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            "-" if score.accuracy is None else f"{score.accuracy:.3f}",
        )
        for name, score in scores.items()
    ]
    count = next(iter(scores.values())).count
    made = f"{count} images, {facts['steps']} steps, seed {facts['seed']}, by {facts['backend']}"
    title = f"{facts['engine']}: {made}"
    header = ("schedule", "FID", "KID", "precision", "recall", "accuracy")
    return f"{title}\n{facts['judge']}\n\n{table(header, rows)}"
