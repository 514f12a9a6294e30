"""Inputs of the backbone that follow from a condition, computed once per sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from array_api_compat import array_namespace

from adagen_rt.condition.recent import Recent
from adagen_rt.condition.rows import halves, join_paired, paired
from adagen_rt.condition.spec import ConditionSpec, Guidance, copies_under
from adagen_rt.types import Array, Arrays, Run


@dataclass(frozen=True)
class Condition:
    """Inputs of the backbone that stay the same at every step of a sample.

    Attributes:
        arrays: Arrays by the input's name; along one axis, the conditional rows of all samples
            and then, under classifier-free guidance, their null twins.
        axes: Axis of the rows by the input's name, where it is not the first.
        guidance: How the backbone is guided.
    """

    arrays: Arrays
    axes: Mapping[str, int]
    guidance: Guidance = "classifier-free"

    @property
    def paired(self) -> bool:
        """Whether every sample has a null row beside its conditional one."""
        return self.copies == 2

    @property
    def copies(self) -> int:
        """Rows of a sample in a call of the backbone."""
        return copies_under(self.guidance)

    def repeat(self, inputs: Arrays) -> Arrays:
        """Repeat what the backbone reads of every sample for each of its rows."""
        if not self.paired:
            return dict(inputs)
        return {name: array_namespace(x).concat([x, x]) for name, x in inputs.items()}

    def split(self, output: Array, axis: int = 0) -> tuple[Array, Array]:
        """Split an output into its conditional and its null rows; without null rows, both same."""
        return halves(output, axis) if self.paired else (output, output)

    def places(self, rows: Array, count: int) -> Array:
        """Index all rows of samples (int64), among those of ``count``."""
        return paired(rows, count) if self.paired else rows

    def append(self, first: Array, second: Array, axis: int = 0) -> Array:
        """Join the rows of two batches as they lie in a call of the backbone."""
        if self.paired:
            return join_paired(first, second, axis)
        joined: Array = array_namespace(first, second).concat([first, second], axis=axis)
        return joined

    def take(self, rows: Array, count: int) -> Condition:
        """Select samples (int64) of ``count``, with their null twins."""
        places = self.places(rows, count)
        xp = array_namespace(rows)
        taken = {
            name: xp.take(array, places, axis=self._axis(name))
            for name, array in self.arrays.items()
        }
        return replace(self, arrays=taken)

    def join(self, other: Condition) -> Condition:
        """Append the samples of another condition."""
        joined = {
            name: self.append(array, other.arrays[name], self._axis(name))
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
        together: Whether the graph runs for all samples at once, whatever the kind says.
    """

    spec: ConditionSpec
    run: Run | None = None
    axes: Mapping[str, int] | None = None
    together: bool = False
    _recent: Recent = field(default_factory=Recent, repr=False, compare=False)

    def __call__(self, rows: Arrays) -> Condition:
        """Compute the conditions of samples, each with its null twin where guidance needs one."""
        given, guidance = self._rows(rows), self.spec.guidance
        if self.run is None:
            return Condition(given, {}, guidance)
        axes = self.axes or {}
        if self.spec.one_by_one and not self.together:
            return Condition(self._recent.outputs(self.run, given, axes), axes, guidance)
        xp = array_namespace(*given.values())
        # Graphs reuse their output buffers; these have to last for all steps.
        arrays = {name: xp.asarray(array, copy=True) for name, array in self.run(given).items()}
        return Condition(arrays, axes, guidance)

    def missing(self, rows: Arrays) -> int:
        """Count the rows that the graph would have to compute now, one by one."""
        if self.run is None or not self.spec.one_by_one:
            return 0
        return self._recent.missing(self._rows(rows))

    def _rows(self, rows: Arrays) -> Arrays:
        """Return the graph's inputs: conditional rows, then null rows."""
        own = {name: rows[name] for name in self.spec.tensors}
        if self.spec.copies == 1:
            return own
        null, xp = self.spec.null(rows), array_namespace(*own.values())
        return {name: xp.concat([values, null[name]]) for name, values in own.items()}
