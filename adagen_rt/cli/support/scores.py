"""Scores of schedules, for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adagen_rt.cli.support.tables import table

if TYPE_CHECKING:
    from adagen_rt.evaluation.judge import Score


def named_score(score: Score, distance: str) -> dict[str, Any]:
    """Name a score's numbers; a distance in the features of another network is no FID."""
    numbers = asdict(score)
    if distance == "FID":
        return numbers
    return {"frechet_effnet" if name == "fid" else name: n for name, n in numbers.items()}


def score_page(
    facts: Mapping[str, Any],
    scores: Mapping[str, Score],
    distance: str,
    sure: Mapping[str, tuple[float, float]],
) -> str:
    """Lay out the scores, a row a schedule.

    Args:
        facts: How the images were made; of each score, also the backbone evaluations of an image.
        scores: Scores by schedule.
        distance: What the distance is called.
        sure: Intervals of the distances over the policy's, by schedule.
    """
    rows = [
        (
            name,
            f"{facts['scores'][name]['evaluations']:.3g}",
            f"{score.fid:.3f}",
            f"{score.kid:.4f}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            *("-" if one is None else f"{one:.3f}" for one in (score.accuracy, score.agreement)),
            *(["{:.3f} to {:.3f}".format(*sure.get(name, (1, 1)))] if sure else []),
        )
        for name, score in scores.items()
    ]
    count = next(iter(scores.values())).count
    made = f"{count} images, {facts['steps']} steps, seed {facts['seed']}, by {facts['backend']}"
    title = f"{facts['engine']}: {made}"
    last = ["over the policy's"] if sure else []
    shares = ("precision", "recall", "accuracy", "agreement")
    header = ("schedule", "evaluations", distance, "KID", *shares, *last)
    return f"{title}\n{facts['judge']}\n\n{table(header, rows)}"
