"""What it is worth that a policy ends each sample by itself.

For an engine whose policy may stop, and the one that it was made of, whose policy makes every
step: distance and evaluations an image of

    fixed            the other engine's policy, at its own number of steps and at fewer
    stopping         the policy that stops
    by class         the same, but every sample makes its class's mean number of evaluations
    shuffled         the same, but each makes the number of another sample of its class

The last two make as many evaluations as the policy that stops. If they are as good, the policy has
learnt which classes are easy, and not which samples. `--throughput` also serves both engines with
all slots taken, and compares images a second in interleaved runs.

    python benchmarks/stopping_worth.py --data DIR runs/dit-stop/engine fashion-dit
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import click
from timing import conditions, interleaved_medians, print_report

from adagen_rt.errors import InputError
from adagen_rt.evaluation.baselines import class_counts, exchanged, groups_of, with_evaluations
from adagen_rt.evaluation.images import draw_request, watched
from adagen_rt.evaluation.judge import Judge, load_judge
from adagen_rt.evaluation.sources import SourceOpener
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.serving import BatchEngine

COLUMNS = ("engine", "line", "evaluations", "seeds", "images", "fid", "precision", "recall")
#: Slots of a server, images of a turn and turns.
SLOTS, IMAGES, TURNS = 8, 200, 5
Row = dict[str, Any]


def lines(
    stopping: Sampler, fixed: Sampler, count: int, batch_size: int, seed: int
) -> Iterator[tuple[str, Result]]:
    """Make the images of every line, of the same samples."""
    own = fixed.manifest.schedule.steps
    for steps in range(own, 1, -1):
        if fixed.manifest.family.check_steps(steps) is None:
            params = SamplingParams(steps=steps, schedule="policy")
            asked = draw_request(fixed.manifest, count, seed, params)
            yield f"fixed {steps}", watched(fixed.run, asked, batch_size, f"fixed {steps}")
    asked = draw_request(stopping.manifest, count, seed, SamplingParams(schedule="policy"))
    made, outputs = watched(stopping.record, asked, batch_size, "stopping")
    yield "stopping", made
    groups = groups_of(stopping.manifest.condition, asked.rows)
    schedule = stopping.manifest.schedule
    assert schedule.stop is not None  # checked before anything was made
    where = schedule.stop, stopping.manifest.calls - schedule.steps
    for name, counts in (
        ("by class", class_counts(made.evaluations, groups)),
        ("shuffled", made.evaluations[exchanged(groups)]),
    ):
        played = with_evaluations(outputs, counts, groups, *where)
        play = partial(stopping.play, outputs=played)
        yield name, watched(play, asked, batch_size, name)


def scoring_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a comparison by the examiner."""
    folder, several = click.Path(path_type=Path), click.IntRange(1)
    for option in (
        click.option("--batch-size", type=several, default=50, show_default=True),
        click.option("--threads", type=several, default=2, show_default=True),
        click.option("--seeds", default="0,1", show_default=True, help="Comma-separated."),
        click.option("--count", type=click.IntRange(10), default=5000, show_default=True),
        click.option("--data", required=True, type=folder, help="Fashion-MNIST."),
    ):
        command = option(command)
    return command


def score_lines(
    engine: str,
    make: Callable[[int], Iterator[tuple[str, Result]]],
    judge: Judge,
    count: int,
    seeds: list[int],
) -> list[Row]:
    """Score every line: means over the seeds.

    Args:
        engine: The engine's name.
        make: Makes the images of every line, of a seed.
        judge: Who scores them.
        count: Images of a line and seed.
        seeds: The seeds.
    """
    found: dict[str, list[Row]] = {}
    for seed in seeds:
        for name, result in make(seed):
            score = judge.score(judge.look(result))
            row = {name: getattr(score, name) for name in ("fid", "precision", "recall")}
            row["evaluations"] = float(result.evaluations.mean())
            found.setdefault(name, []).append(row)
            click.echo(f"seed {seed}, {name}: {row}", err=True)
    return [
        {"engine": engine, "line": name, "seeds": len(rows), "images": count}
        | {key: mean(row[key] for row in rows) for key in rows[0]}
        for name, rows in found.items()
    ]


def rates(names: tuple[str, str], threads: int) -> list[float]:
    """Serve both engines in turns, always with all slots taken: images a second, medians."""
    with busy_engine(names[0], threads) as first, busy_engine(names[1], threads) as second:
        return serve_in_turns({"stopping": partial(serve, first), "fixed": partial(serve, second)})


def busy_engine(name: str, threads: int) -> BatchEngine:
    """Load an engine that has all images of a turn in its queue."""
    return BatchEngine(name, max_batch=SLOTS, max_queue=IMAGES, threads=threads)


def serve_in_turns(turns: dict[str, Callable[[], None]]) -> list[float]:
    """Return the images a second of each way to make a turn's images, medians."""
    return [IMAGES / seconds for seconds in interleaved_medians(turns, TURNS, warmups=1).values()]


def serve(engine: BatchEngine, **options: Any) -> None:
    """Make a turn's images."""
    jobs = [engine.submit(number % 10, number, **options) for number in range(IMAGES)]
    for job in jobs:
        job.result()


@click.command()
@click.argument("stopping")
@click.argument("fixed")
@scoring_options
@click.option("--throughput", is_flag=True, help="Serve both engines, too.")
@click.option("--json", "as_json", is_flag=True)
def main(
    stopping: str,
    fixed: str,
    data: Path,
    count: int,
    seeds: str,
    threads: int,
    batch_size: int,
    throughput: bool,
    as_json: bool,
) -> None:
    """Compare the engine STOPPING with the engine FIXED."""
    opener = SourceOpener(threads=threads)
    pair = opener.open(stopping), opener.open(fixed)
    if not pair[0].manifest.schedule.stopping:
        raise InputError("stopping", stopping, "an engine whose policy may stop")
    judge = load_judge(data)
    facts = conditions(threads) | {"judge": judge.describe()}
    make = partial(lines, *pair, count, batch_size)
    wanted = [int(seed) for seed in seeds.split(",")]
    rows = score_lines(pair[0].manifest.name, make, judge, count, wanted)
    if throughput:
        rate = rates((stopping, fixed), threads)
        facts["images a second, stopping and fixed"] = [round(one, 1) for one in rate]
        facts["throughput, stopping over fixed"] = round(rate[0] / rate[1], 3)
    table = [[row[name] for name in COLUMNS] for row in rows]
    print_report("stopping_worth", COLUMNS, table, facts, as_json)


if __name__ == "__main__":
    main()
