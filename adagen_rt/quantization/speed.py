"""Times of a graph's twins beside its own, on the machine at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from adagen_rt.types import Arrays, Session

#: Turns that count, after one that does not.
TURNS = 9


def times_as_fast(twin: Session, original: Session, probes: Sequence[Arrays]) -> float:
    """Measure how many times as fast a graph is as another on the same inputs.

    The two take turns, so that a busy moment of the machine meets both.

    Returns:
        The median of the turns' ratios; above 1 where ``twin`` is faster.
    """
    ratios = []
    for _ in range(TURNS + 1):
        ours, theirs = _seconds(twin, probes), _seconds(original, probes)
        ratios.append(theirs / ours)
    return statistics.median(ratios[1:])


def _seconds(graph: Session, probes: Sequence[Arrays]) -> float:
    begin = time.perf_counter()
    for inputs in probes:
        graph.run(inputs)
    return time.perf_counter() - begin
