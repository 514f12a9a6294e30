"""`adagen-rt evaluate`: how good an engine's images are under each of its schedules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.support.judges import check_judged
from adagen_rt.cli.support.tables import table
from adagen_rt.cli.support.training_options import data_option, prepare_torch, threads_option
from adagen_rt.errors import InputError
from adagen_rt.pipeline.load import check_threads, load
from adagen_rt.sampling.request import MAX_BATCH, MAX_COUNT, as_integer, check_steps

if TYPE_CHECKING:
    from adagen_rt.evaluation.choices import ScheduleName
    from adagen_rt.evaluation.judge import Judge, Score
    from adagen_rt.evaluation.sources import EngineSource

SCHEDULES = ("policy", "static", "tuned")
#: Fewer tell nothing, and precision and recall need neighbours.
MIN_SAMPLES = 10


@click.command()
@click.argument("engine")
@data_option
@click.option("--samples", type=int, default=5000, show_default=True, help="Images a schedule.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which images.")
@click.option(
    "--schedule",
    "schedules",
    multiple=True,
    type=click.Choice(SCHEDULES),
    help="Which to score; repeatable. Default: all that the engine has.",
)
@click.option("--steps", type=int, help="Backbone evaluations; default: the engine's own.")
@click.option("--batch-size", type=int, default=50, show_default=True, help="Images made together.")
@threads_option
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(
    engine: str,
    data: Path,
    samples: int,
    seed: int,
    schedules: tuple[ScheduleName, ...],
    steps: int | None,
    batch_size: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the images of ENGINE (a folder, or the name of a shipped engine).

    FID and KID are distances to the training images (smaller is better), precision is the
    share of images that look real, recall the share of the real variety that they cover,
    accuracy the share recognised as the class that was asked for. All are measured in the
    features of a network that no reward looks through; FIDs measured in other networks'
    features are on other scales.
    """
    as_integer("samples", samples, MIN_SAMPLES, MAX_COUNT)
    as_integer("seed", seed, 0, 1_000_000)
    as_integer("batch-size", batch_size, 1, MAX_BATCH)
    generator = load(engine, threads=check_threads(threads))
    check_judged("engine", generator.manifest.image)
    count = check_steps(generator.manifest, steps)
    prepare_torch(threads)
    from adagen_rt.evaluation.judge import load_judge
    from adagen_rt.evaluation.sources import EngineSource

    source = EngineSource(generator, batch_size)
    wanted = _check_schedules(schedules, source)
    judge = load_judge(data)
    scores = {name: _score(source, judge, name, count, samples, seed) for name in wanted}
    facts = {
        "engine": generator.manifest.name,
        "steps": count,
        "seed": seed,
        "judge": judge.describe(),
        "scores": {name: asdict(score) for name, score in scores.items()},
    }
    click.echo(json.dumps(facts) if as_json else _page(facts, scores))


def _score(
    source: EngineSource, judge: Judge, schedule: ScheduleName, steps: int, samples: int, seed: int
) -> Score:
    """Scores the images under one schedule."""
    from adagen_rt.evaluation.choices import Choice
    from adagen_rt.evaluation.sources import make_samples

    made = make_samples(source, Choice(schedule, steps), samples, seed, schedule)
    return judge.score(made.images, made.labels.numpy())


def _check_schedules(
    given: tuple[ScheduleName, ...], source: EngineSource
) -> tuple[ScheduleName, ...]:
    for name in given:
        if name not in source.schedules:
            raise InputError("schedule", name, f"one of {', '.join(source.schedules)}")
    return given or source.schedules


def _page(facts: Mapping[str, Any], scores: Mapping[ScheduleName, Score]) -> str:
    rows = [
        (
            name,
            f"{score.fid:.3f}",
            f"{score.kid:.4f}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            f"{score.accuracy:.3f}",
        )
        for name, score in scores.items()
    ]
    count = next(iter(scores.values())).count
    title = f"{facts['engine']}: {count} images, {facts['steps']} steps, seed {facts['seed']}"
    header = ("schedule", "FID", "KID", "precision", "recall", "accuracy")
    return f"{title}\n{facts['judge']}\n\n{table(header, rows)}"
