"""The tables of `quality.py`: which lines they have, and what is printed of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from kept import Row

from adagen_rt.evaluation.choices import Choice
from adagen_rt.evaluation.sources import Source

TABLES = ("schedules", "refine", "fidelity")
SCORES = ("fid", "kid", "precision", "recall", "accuracy")
COLUMNS = ("table", "engine", "kind", "value", "seeds", "images", "cost", *SCORES)


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        kind: The curve that it is a point of.
        value: Where on it.
        choice: How its images are made.
        best_of: Images made of each sample, of which the reward model keeps one.
    """

    kind: str
    value: float
    choice: Choice
    best_of: int = 1


def plan(table: str, source: Source, more: Sequence[int]) -> Sequence[Line]:
    """The lines of one table for one engine.

    Args:
        table: Of `TABLES`.
        source: Makes the images.
        more: Multiples of its own steps that the hand-made schedule is run with, where it can be.
    """
    if table == "schedules":
        return _schedules(source, more)
    return REFINE if table == "refine" else FIDELITY


def _schedules(source: Source, more: Sequence[int]) -> list[Line]:
    own = source.manifest.schedule.steps
    lines = [Line(name, own, Choice(name)) for name in source.schedules]
    if source.manifest.family.family != "var":
        steps = [own * factor for factor in more]
        lines += [Line("static", count, Choice("static", count)) for count in steps]
    return lines


REFINE = (
    Line("policy", 1, Choice()),
    *(Line("refine", count, Choice(refine=count)) for count in (2, 4)),
    *(Line("best-of", count, Choice(), count) for count in (2, 4, 8)),
)
FIDELITY = (
    *(Line("fidelity", share, Choice(fidelity=share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)),
    *(
        Line("static guidance", factor, Choice("static", guidance=factor))
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
        averages.append(where | facts | scores)
    return averages
