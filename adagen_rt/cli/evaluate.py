"""`adagen-rt evaluate`: how good an engine's images are under each of its schedules."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from adagen_rt.cli.judges import check_judged
from adagen_rt.cli.tables import table
from adagen_rt.cli.training_options import data_option, prepare_torch, threads_option
from adagen_rt.errors import InputError
from adagen_rt.generator import check_threads, load
from adagen_rt.request import MAX_BATCH, MAX_COUNT, as_integer, check_steps

if TYPE_CHECKING:
    from adagen_rt.training.evaluation import Judge, Score
    from adagen_rt.training.sources import Source

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
    schedules: tuple[str, ...],
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
    from adagen_rt.training.sources import EngineSource

    source = EngineSource(generator, batch_size)
    wanted = _check_schedules(schedules, source)
    judge = _make_judge(data)
    scores = {name: score_source(source, judge, name, count, samples, seed) for name in wanted}
    facts = {
        "engine": generator.manifest.name,
        "steps": count,
        "seed": seed,
        "judge": judge.describe(),
        "scores": {name: asdict(score) for name, score in scores.items()},
    }
    click.echo(json.dumps(facts) if as_json else _page(facts, scores))


def score_source(
    source: Source, judge: Judge, schedule: str, steps: int, samples: int, seed: int
) -> Score:
    """Scores a source's images under one of its schedules, with a progress bar."""
    from tqdm import tqdm

    from adagen_rt.training.sources import draw_requests

    labels, seeds = draw_requests(samples, source.manifest.class_count, seed)
    with tqdm(total=samples, unit="image", desc=schedule, mininterval=1.0) as bar:
        images = source.images(labels, seeds, schedule, steps, bar.update)  # type: ignore[arg-type]
    score: Score = judge.score(images, labels.numpy())
    return score


def _make_judge(data: Path) -> Judge:
    """The examiner over the training images."""
    from adagen_rt.training.data import load_fashion_mnist
    from adagen_rt.training.evaluation import Judge
    from adagen_rt.training.examiner import load_examiner

    return Judge(load_examiner(), load_fashion_mnist(data, "train"))


def _check_schedules(given: tuple[str, ...], source: Source) -> tuple[str, ...]:
    for name in given:
        if name not in source.schedules:
            raise InputError("schedule", name, f"one of {', '.join(source.schedules)}")
    return given or source.schedules


def _page(facts: dict[str, Any], scores: dict[str, Score]) -> str:
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
