"""The part of the array API standard that the step rules use, on traced arrays."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from adagen_rt.onegraph.order import Order
from adagen_rt.onegraph.traced import Traced

Axes = int | tuple[int, ...] | None


class Namespace(Order):
    """Functions of the standard, which write nodes where an array is not known.

    Args:
        writer: The graph.
    """

    #: array-api-compat tells namespaces apart by their names.
    __name__ = __name__

    def sum(self, a: Traced, *, axis: Axes = None, keepdims: builtins.bool = False) -> Traced:
        """Add up."""
        return self._reduce("ReduceSum", np.sum, a, axis, keepdims)

    def max(self, a: Traced, *, axis: Axes = None, keepdims: builtins.bool = False) -> Traced:
        """Find the largest."""
        return self._reduce("ReduceMax", np.max, a, axis, keepdims)

    def min(self, a: Traced, *, axis: Axes = None, keepdims: builtins.bool = False) -> Traced:
        """Find the smallest."""
        return self._reduce("ReduceMin", np.min, a, axis, keepdims)

    def all(self, a: Traced, *, axis: Axes = None) -> Traced:
        """Tell whether all are true."""
        return self._truth(self.min, a, axis)

    def any(self, a: Traced, *, axis: Axes = None) -> Traced:
        """Tell whether one is true."""
        return self._truth(self.max, a, axis)

    def _truth(self, reduce: Callable[..., Traced], a: Traced, axis: Axes) -> Traced:
        return self.astype(reduce(self.astype(a, np.int32), axis=axis), np.bool_)

    def _reduce(
        self, op: str, compute: Callable[..., Any], a: Traced, axis: Axes, keep: builtins.bool
    ) -> Traced:
        axes = tuple(range(a.ndim)) if axis is None else _axes(axis, a.ndim)
        shape = [1 if i in axes else dim for i, dim in enumerate(a.shape)]
        if not keep:
            shape = [dim for i, dim in enumerate(a.shape) if i not in axes]
        if a.known is not None:
            # Along the batch all is the same, which neither a smallest nor a largest minds.
            known = compute(a.filled, axis=axes, keepdims=keep)
            return self.constant(np.asarray(known, a.dtype), tuple(shape))
        places = self.writer.constant(np.array(axes, np.int64))
        given = {"keepdims": int(keep)}
        (value,) = self.writer.emit(op, [a.value, places], a.dtype, given)
        return Traced(self, shape, a.dtype, value=value)

    def cumulative_sum(self, a: Traced, *, axis: int = -1) -> Traced:
        """Add up along an axis."""
        place = self.writer.constant(np.array(axis % a.ndim, np.int64))
        (value,) = self.writer.emit("CumSum", [a.value, place], a.dtype)
        return Traced(self, a.shape, a.dtype, value=value)


def _axes(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return tuple(one % ndim for one in ((axis,) if isinstance(axis, int) else axis))
