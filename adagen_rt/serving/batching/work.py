"""How much an engine has to do, alone or together with those of other processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What an engine has to do, and how fast it is.

    Attributes:
        rows: Backbone rows of all that waits or is under way.
        pace: Seconds that a row takes, averaged over recent steps; 0 before the first.
    """

    rows: int = 0
    pace: float = 0.0


def seconds_of(works: Iterable[Work]) -> float:
    """Estimate the seconds until all work is done by engines that share it by their pace."""
    found = list(works)
    rate = sum(1 / work.pace for work in found if work.pace)
    return sum(work.rows for work in found) / rate if rate else 0.0
