"""What it costs and saves to leave evaluations out where the last two tell what the next gives.

For engines of diffusions and flows: distance and evaluations an image of

    fixed            the policy, with every evaluation, at its own number of steps and at fewer
    reuse            `--reuse` at several thresholds
    shuffled         the same, but each sample leaves out the evaluations that another one of its
                     class does

The last makes as many evaluations. If it is as good, it is the class that decides and not the
sample. `--throughput` serves the engine with all slots taken instead, with and without reuse, and
compares images a second in interleaved runs.

    python benchmarks/reuse.py --data DIR fashion-dit fashion-sit
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from stopping_worth import (
    COLUMNS,
    busy_engine,
    score_lines,
    scoring_options,
    serve,
    serve_in_turns,
)
from timing import conditions, print_report

from adagen_rt.evaluation.baselines import exchanged, groups_of
from adagen_rt.evaluation.images import draw_request, watched
from adagen_rt.evaluation.judge import load_judge
from adagen_rt.evaluation.sources import SourceOpener
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import Request
from adagen_rt.sampling.result import Result
from adagen_rt.sampling.reuse import Past, ReusingLoop
from adagen_rt.sampling.rule import State
from adagen_rt.sampling.sampler import Sampler
from adagen_rt.types import Array

RATES = ("engine", "reuse", "images_per_s", "times")


@dataclass(kw_only=True)
class Watched(ReusingLoop):
    """A loop that notes which samples needed an evaluation, or is told.

    Attributes:
        needed: Whether a sample needs the evaluation of a step (steps, samples) bool.
        told: Whether `needed` decides.
    """

    needed: Any
    told: bool = field(default=False)

    def _needs(self, state: State, past: Past, share: Array) -> Array:
        if not self.told:
            self.needed[state.step, state.index] = super()._needs(state, past, share)
        return self.needed[state.step, state.index]


def run(sampler: Sampler, request: Request, batch_size: int, needed: Any, told: bool) -> Result:
    """Make images, and note or follow which evaluations are needed."""
    loop = Watched(**vars(sampler.loop(request.params)), needed=needed, told=told)
    make = partial(sampler._make, loop)

    def run_all(asked: Request, *, batch_size: int, progress: Any) -> Result:
        return make(batch_size, progress, asked)

    return watched(run_all, request, batch_size, "shuffled" if told else "reuse")


def lines(
    sampler: Sampler, thresholds: list[float], count: int, batch_size: int, seed: int
) -> Iterator[tuple[str, Result]]:
    """Make the images of every line, of the same samples."""
    own = sampler.manifest.schedule.steps
    for steps in (own, own - 2):
        params = SamplingParams(steps=steps, schedule="policy")
        asked = draw_request(sampler.manifest, count, seed, params)
        yield f"fixed {steps}", watched(sampler.run, asked, batch_size, f"fixed {steps}")
    other = exchanged(groups_of(sampler.manifest.condition, asked.rows))
    for threshold in thresholds:
        params = SamplingParams(schedule="policy", reuse=threshold)
        asked = draw_request(sampler.manifest, count, seed, params)
        needed = np.ones((own, count), bool)
        yield f"reuse {threshold:g}", run(sampler, asked, batch_size, needed, False)
        yield f"shuffled {threshold:g}", run(sampler, asked, batch_size, needed[:, other], True)


def rates(
    name: str, thresholds: list[float], threads: int
) -> list[tuple[str, float, float, float]]:
    """Serve an engine with each threshold, and with none."""
    tried = [0.0, *thresholds]
    with busy_engine(name, threads) as engine:
        turns = {f"{one:g}": partial(serve, engine, reuse=one) for one in tried}
        found = serve_in_turns(turns)
    return [(name, one, rate, rate / found[0]) for one, rate in zip(tried, found, strict=True)]


@click.command()
@click.argument("engines", nargs=-1, required=True)
@scoring_options
@click.option("--thresholds", default="0.02,0.03,0.04", show_default=True, help="Comma-separated.")
@click.option("--throughput", is_flag=True, help="Serve the engines, and score nothing.")
@click.option("--json", "as_json", is_flag=True)
def main(
    engines: tuple[str, ...],
    data: Path,
    thresholds: str,
    count: int,
    seeds: str,
    threads: int,
    batch_size: int,
    throughput: bool,
    as_json: bool,
) -> None:
    """Score ENGINES with evaluations left out."""
    tried = [float(one) for one in thresholds.split(",")]
    if throughput:
        table = [row for engine in engines for row in rates(engine, tried, threads)]
        print_report("reuse", RATES, table, conditions(threads), as_json)
        return
    judge, opener = load_judge(data), SourceOpener(threads=threads)
    wanted = [int(seed) for seed in seeds.split(",")]
    rows = []
    for engine in engines:
        sampler = opener.open(engine)
        make = partial(lines, sampler, tried, count, batch_size)
        rows += score_lines(sampler.manifest.name, make, judge, count, wanted)
    facts = conditions(threads) | {"judge": judge.describe()}
    table = [[row[name] for name in COLUMNS] for row in rows]
    print_report("reuse", COLUMNS, table, facts, as_json)


if __name__ == "__main__":
    main()
