"""The tables of `quality.py`: which lines they have, and what is printed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean

from kept import Row

from adagen_rt.evaluation.baselines import BASELINES
from adagen_rt.sampling.params import SamplingParams, schedule_names
from adagen_rt.sampling.sampler import Sampler

TABLES = ("schedules", "refine", "fidelity", "worth")
SCORES = ("fid", "kid", "precision", "recall", "accuracy")
#: Bounds of a baseline's distance over the policy's, by bootstrap; None in other lines.
BOUNDS = ("low", "high")
COLUMNS = ("table", "engine", "kind", "value", "seeds", "images", "cost", *SCORES, *BOUNDS)


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        kind: The curve that it is a point of.
        value: Where on it.
        params: How its images are made.
        guidance: Factor of the hand-made schedule's guidance.
        baseline: What is played in the place of the policy's outputs, of `BASELINES`; '' for those.
    """

    kind: str
    value: float
    params: SamplingParams
    guidance: float = 1.0
    baseline: str = ""


def plan(table: str, source: Sampler, more: Sequence[int]) -> Sequence[Line]:
    """The lines of one table for one engine.

    Args:
        table: Of `TABLES`.
        source: Makes the images.
        more: Multiples of its own steps that the hand-made schedule is run with, where it can be.
    """
    if table == "schedules":
        return _schedules(source, more)
    return {"refine": REFINE, "fidelity": FIDELITY, "worth": WORTH}[table]


def _schedules(source: Sampler, more: Sequence[int]) -> list[Line]:
    own = source.manifest.schedule.steps
    names = sorted(schedule_names(source.manifest), key=("static", "tuned", "policy").index)
    lines = [Line(name, own, SamplingParams(schedule=name)) for name in names]
    steps = [own * factor for factor in more]
    # VAR takes no other number of steps than its scales.
    taken = [count for count in steps if source.manifest.family.check_steps(count) is None]
    static = SamplingParams(schedule="static")
    return lines + [Line("static", count, replace(static, steps=count)) for count in taken]


POLICY = SamplingParams(schedule="policy")
REFINE = (
    Line("policy", 1, POLICY),
    *(Line("refine", count, replace(POLICY, refine=count)) for count in (2, 4)),
    *(Line("best-of", count, replace(POLICY, best_of=count)) for count in (2, 4, 8)),
)
WORTH = (
    Line("policy", 1, POLICY),
    *(Line(kind, 1, POLICY, baseline=kind) for kind in BASELINES),
)
FIDELITY = (
    *(
        Line("fidelity", share, replace(POLICY, fidelity=share))
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ),
    *(
        Line("static guidance", factor, SamplingParams(schedule="static"), factor)
        for factor in (1.0, 1.5, 2.0, 3.0, 4.0)
    ),
)


def tabulate(
    table: str, engine: str, lines: Sequence[Line], measured: Sequence[Sequence[Row]]
) -> list[Row]:
    """One row a line: scores averaged over its seeds, and its cost relative to the first line's.

    Args:
        table: Of `TABLES`.
        engine: Whose images they are.
        lines: At least one.
        measured: For each line, the row of every seed.
    """
    costs = [mean(row["rows"] for row in rows) for rows in measured]
    averages = []
    for line, rows, cost in zip(lines, measured, costs, strict=True):
        where = {"table": table, "engine": engine, "kind": line.kind, "value": line.value}
        facts = {"seeds": len(rows), "images": rows[0]["count"], "cost": cost / costs[0]}
        scores = {name: mean(row[name] for row in rows) for name in SCORES}
        averages.append(where | facts | scores | _bounds(rows))
    return averages


def _bounds(rows: Sequence[Row]) -> Row:
    """Take the outermost bounds of all seeds, so that a claim holds for each of them."""
    low, high = ([row[name] for row in rows if name in row] for name in BOUNDS)
    return {"low": min(low, default=None), "high": max(high, default=None)}
