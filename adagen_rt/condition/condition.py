"""Inputs of the backbone that follow from a condition, computed once per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from array_api_compat import array_namespace

from adagen_rt.condition.rows import join_paired, paired
from adagen_rt.condition.spec import ConditionSpec
from adagen_rt.types import Array, Arrays, Run


@dataclass(frozen=True)
class Condition:
    """Inputs of the backbone that stay the same at every step of a sample.

    Attributes:
        arrays: Arrays by the input's name; along one axis, the conditional rows of all samples
            and then their null twins.
        axes: Axis of the rows by the input's name, where it is not the first.
    """

    arrays: Arrays
    axes: Mapping[str, int]

    def take(self, rows: Array, count: int) -> Condition:
        """Select samples (int64) of ``count``, with their null twins."""
        both = paired(rows, count)
        xp = array_namespace(rows)
        taken = {
            name: xp.take(array, both, axis=self._axis(name)) for name, array in self.arrays.items()
        }
        return replace(self, arrays=taken)

    def join(self, other: Condition) -> Condition:
        """Append the samples of another condition."""
        joined = {
            name: join_paired(array, other.arrays[name], self._axis(name))
            for name, array in self.arrays.items()
        }
        return replace(self, arrays=joined)

    def _axis(self, name: str) -> int:
        return self.axes.get(name, 0)


@dataclass(frozen=True)
class Conditioner:
    """Computes the backbone's inputs from the rows of a request.

    Attributes:
        spec: The kind of condition.
        run: The graph `condition`, where an engine has one; without it the backbone reads the
            rows themselves.
        axes: Axis of the rows in the graph's outputs, where it is not the first.
    """

    spec: ConditionSpec
    run: Run | None = None
    axes: Mapping[str, int] | None = None

    def __call__(self, rows: Arrays) -> Condition:
        """Compute the conditions of samples, each with its null twin."""
        null, xp = self.spec.null(rows), array_namespace(*rows.values())
        both = {name: xp.concat([values, null[name]]) for name, values in rows.items()}
        if self.run is None:
            return Condition(both, {})
        # Graphs reuse their output buffers; these have to last for all steps.
        arrays = {name: xp.asarray(array, copy=True) for name, array in self.run(both).items()}
        return Condition(arrays, self.axes or {})
