"""Errors of a graph's outputs, relative to another graph's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adagen_rt.types import Arrays, Session

#: Least deviation of an output, over its root mean square. Rows that hardly differ, as the rewards
#: of two pictures may, would otherwise turn float32's rounding into an error.
FLAT = 1e-2
#: Share of an output's differences that `Errors.high` is not below.
HIGH = 0.999
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Errors:
    """Differences of a graph's outputs, each over its output's standard deviation.

    Every number is that of the worst output.

    Attributes:
        rms: Root mean square.
        high: Quantile `HIGH` of the absolute differences.
        part: Largest root mean square of a part: a sample, a channel, a row of pixels.
        largest: Largest absolute difference.
    """

    rms: float
    high: float
    part: float
    largest: float


def run_probes(graph: Session, probes: Iterable[Arrays]) -> list[Arrays]:
    """Run a graph on each of its inputs and copy the outputs."""
    return [{name: np.array(array) for name, array in graph.run(probe).items()} for probe in probes]


def measure_errors(got: Sequence[Arrays], expected: Sequence[Arrays]) -> Errors:
    """Measure how much the outputs of several runs differ."""
    errors = [_errors_of(runs) for runs in _differences(got, expected)]
    # NumPy's maximum keeps a NaN, which Python's may lose.
    return Errors(*(float(number) for number in np.max(errors, axis=0)))


def relative_error(got: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """Return the worst output's root mean square difference over its standard deviation."""
    return float(np.max([_rms(_flat(runs)) for runs in _differences(got, expected)]))


def _errors_of(runs: Sequence[Floats]) -> tuple[float, float, float, float]:
    every = np.abs(_flat(runs))
    part = np.max([_worst_part(run) for run in runs])
    return _rms(every), float(np.quantile(every, HIGH)), float(part), float(every.max())


def _worst_part(run: Floats) -> float:
    """Return the largest root mean square at one index of one axis."""
    squares, axes = np.square(run), range(run.ndim)
    return max(
        float(np.sqrt(squares.mean(axis=tuple(other for other in axes if other != axis)).max()))
        for axis in axes
    )


def _flat(runs: Sequence[Floats]) -> Floats:
    return np.concatenate([run.ravel() for run in runs])


def _rms(differences: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(differences))))


def _differences(got: Sequence[Arrays], expected: Sequence[Arrays]) -> Iterator[list[Floats]]:
    """Yield every output's differences, run by run, over the expected deviation of all runs."""
    for name in expected[0]:
        theirs = _flat([run[name] for run in expected])
        deviation = max(float(theirs.std()), FLAT * _rms(theirs)) or 1.0
        yield [
            (ours[name] - run[name]) / deviation for ours, run in zip(got, expected, strict=True)
        ]
