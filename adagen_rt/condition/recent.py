"""What a graph gave for the conditions that were asked for lately, one sample at a time."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from array_api_compat import array_namespace

from adagen_rt.condition.rows import count_rows, take_rows
from adagen_rt.lru import LruCache
from adagen_rt.types import Arrays, Run

#: Conditions that are remembered; the long contexts of a large text encoder have megabytes each.
MOST = 32


class Recent(LruCache[Arrays]):
    """Outputs of a graph by its inputs' values."""

    def __init__(self) -> None:
        super().__init__(MOST)

    def outputs(self, run: Run, rows: Arrays, axes: Mapping[str, int]) -> Arrays:
        """Compute each row by itself, unless it is known, and join the outputs.

        Args:
            run: The graph.
            rows: Its inputs (R, ...), by name.
            axes: Axis of the rows in its outputs, where it is not the first.
        """
        parts = [self._row(run, row) for row in _each(rows)]
        xp = array_namespace(*parts[0].values())
        return {
            name: xp.concat([part[name] for part in parts], axis=axes.get(name, 0))
            for name in parts[0]
        }

    def missing(self, rows: Arrays) -> int:
        """Count the different rows that are not known."""
        return len({_key(row) for row in _each(rows)} - self.keys())

    def _row(self, run: Run, row: Arrays) -> Arrays:
        def make() -> Arrays:
            xp = array_namespace(*row.values())
            # Graphs reuse their output buffers.
            return {name: xp.asarray(x, copy=True) for name, x in run(row).items()}

        return self.fetch(_key(row), make)


def _each(rows: Arrays) -> list[Arrays]:
    return [take_rows(rows, slice(place, place + 1)) for place in range(count_rows(rows))]


def _key(row: Arrays) -> Hashable:
    """Make a key of integers of any namespace and device."""
    return tuple((name, tuple(values.reshape(-1).tolist())) for name, values in sorted(row.items()))
