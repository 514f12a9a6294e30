"""Errors of a graph's outputs, relative to another graph's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from adagen_rt.types import Arrays, Session

#: Least deviation of an output, over its root mean square. Rows that hardly differ, as the rewards
#: of two pictures may, would otherwise turn float32's rounding into an error.
FLAT = 1e-2


def run_probes(graph: Session, probes: Iterable[Arrays]) -> list[Arrays]:
    """Run a graph on each of its inputs and copy the outputs."""
    return [{name: np.array(array) for name, array in graph.run(probe).items()} for probe in probes]


def relative_error(got: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """Return the worst output's root mean square difference over its standard deviation."""
    return max(
        float(np.sqrt(np.mean(np.square(difference)))) / deviation
        for difference, deviation in _differences(got, expected)
    )


def largest_error(got: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """Return the worst output's largest difference over its standard deviation."""
    return max(
        float(np.abs(difference).max()) / deviation
        for difference, deviation in _differences(got, expected)
    )


def _differences(
    got: Sequence[Arrays], expected: Sequence[Arrays]
) -> Iterator[tuple[np.ndarray, float]]:
    """Yield every output's differences over all runs, flat, and the expected deviation."""
    for name in expected[0]:
        theirs = np.concatenate([run[name].ravel() for run in expected])
        differences = [
            (ours[name] - run[name]).ravel() for ours, run in zip(got, expected, strict=True)
        ]
        size = float(np.sqrt(np.mean(np.square(theirs))))
        yield np.concatenate(differences), max(float(theirs.std()), FLAT * size) or 1.0
