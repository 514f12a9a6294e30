"""How far a graph's outputs are from those of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from adagen_rt.types import Arrays, Session


def run_probes(graph: Session, probes: Iterable[Arrays]) -> list[Arrays]:
    """Copies of a graph's outputs for each of its inputs."""
    return [{name: np.array(array) for name, array in graph.run(probe).items()} for probe in probes]


def relative_error(got: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """Root mean square of the difference over the deviation, of the output that is worst off."""
    return max(
        float(np.sqrt(np.mean(np.square(difference)))) / deviation
        for difference, deviation in _differences(got, expected)
    )


def largest_error(got: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """Largest difference over the deviation, of the output that is worst off."""
    return max(
        float(np.abs(difference).max()) / deviation
        for difference, deviation in _differences(got, expected)
    )


def _differences(
    got: Sequence[Arrays], expected: Sequence[Arrays]
) -> Iterator[tuple[np.ndarray, float]]:
    """Of every output, the differences of all runs, flat, and the deviation of what is expected."""
    for name in expected[0]:
        theirs = np.concatenate([run[name].ravel() for run in expected])
        differences = [
            (ours[name] - run[name]).ravel() for ours, run in zip(got, expected, strict=True)
        ]
        yield np.concatenate(differences), float(theirs.std()) or 1.0
