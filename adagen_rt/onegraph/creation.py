"""Arrays of the model that are known when it is written."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from adagen_rt.onegraph.size import Shape, Size
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer


class Creation:
    """Functions that make arrays.

    Args:
        writer: The graph.
    """

    float32, int64, int32, uint8, bool = np.float32, np.int64, np.int32, np.uint8, np.bool_
    inf, nan = math.inf, math.nan

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    def asarray(
        self, given: Any, *, dtype: Any = None, device: Any = None, copy: Any = None
    ) -> Any:
        """Make an array of numbers; a traced one is never changed in place, so it stays."""
        if isinstance(given, Traced):
            return given
        return self.constant(np.asarray(given, dtype))

    def constant(self, known: np.ndarray, shape: Shape | None = None) -> Traced:
        """Make a known array, of a shape that it stretches to."""
        return Traced(self, known.shape if shape is None else shape, known.dtype, known=known)

    def full(self, shape: Any, value: Any, *, dtype: Any = None, device: Any = None) -> Traced:
        """Make an array of one number."""
        dims = as_shape(shape)
        known = np.full([0 if dim == 0 else 1 for dim in dims], value, dtype)
        return self.constant(known, dims)

    def zeros(self, shape: Any, *, dtype: Any = np.float32, device: Any = None) -> Traced:
        """Make an array of zeros."""
        return self.full(shape, 0, dtype=dtype)

    empty = zeros

    def full_like(self, array: Traced, value: Any) -> Traced:
        """Make an array of one number, of another's shape and dtype."""
        return self.full(array.shape, value, dtype=array.dtype)

    def zeros_like(self, array: Traced) -> Traced:
        """Make an array of zeros, of another's shape and dtype."""
        return self.full_like(array, 0)

    def ones_like(self, array: Traced) -> Traced:
        """Make an array of ones, of another's shape and dtype."""
        return self.full_like(array, 1)

    def arange(self, *bounds: Any, dtype: Any = np.int64, device: Any = None) -> Traced:
        """Make the numbers of a range."""
        if not builtins.any(isinstance(bound, Size) for bound in bounds):
            return self.constant(np.arange(*bounds, dtype=dtype))
        start, stop = (0, *bounds)[-2:]
        zero, one = (self.writer.constant(np.array(n, np.int64)) for n in (start, 1))
        limit = self.writer.emit("Squeeze", [self.writer.dims([stop])], np.int64)[0]
        (value,) = self.writer.emit("Range", [zero, limit, one], np.int64)
        return Traced(self, (stop - start,), np.int64, value=value)


def as_shape(given: Any) -> Shape:
    """Return a shape of a size, or of several."""
    return (given,) if isinstance(given, (int, Size)) else tuple(given)
