"""Functions that give arrays another shape, and join them."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from adagen_rt.onegraph.creation import Creation, as_shape
from adagen_rt.onegraph.size import Dim, Shape, Size
from adagen_rt.onegraph.traced import Traced


class Shapes(Creation):
    """Functions that change no number."""

    def reshape(self, a: Traced, shape: Any) -> Traced:
        """Give another shape; one size may be -1."""
        dims = _complete(as_shape(shape), a.shape)
        if dims == a.shape:
            return a
        if a.known is not None:
            whole = [1 if isinstance(dim, Size) else dim for dim in dims]
            if a.known.size == 1:
                return self.constant(a.known.reshape([1] * len(dims)), dims)
            return self.constant(a.filled.reshape(whole), dims)
        open_axes = sum(isinstance(dim, Size) for dim in dims)
        assert open_axes <= 1, "one axis may follow the batch"
        target = np.array([-1 if isinstance(dim, Size) else dim for dim in dims], np.int64)
        (value,) = self.writer.emit("Reshape", [a.value, self.writer.constant(target)], a.dtype)
        return Traced(self, dims, a.dtype, value=value)

    def expand_dims(self, a: Traced, *, axis: int) -> Traced:
        """Add an axis of size 1."""
        shape = (*a.shape[:axis], 1, *a.shape[axis:])
        if a.known is not None:
            return self.constant(np.expand_dims(a.known, axis), shape)
        axes = self.writer.constant(np.array([axis], np.int64))
        (value,) = self.writer.emit("Unsqueeze", [a.value, axes], a.dtype)
        return Traced(self, shape, a.dtype, value=value)

    def broadcast_to(self, a: Traced, shape: Any) -> Traced:
        """Stretch to a shape."""
        dims = as_shape(shape)
        if a.known is not None:
            known = a.known.reshape((1,) * (len(dims) - a.ndim) + a.known.shape)
            return self.constant(known, dims)
        if dims == a.shape:
            return a
        (value,) = self.writer.emit("Expand", [a.value, self.writer.dims(dims)], a.dtype)
        return Traced(self, dims, a.dtype, value=value)

    def permute_dims(self, a: Traced, axes: Sequence[int]) -> Traced:
        """Order axes anew."""
        shape = tuple(a.shape[axis] for axis in axes)
        if a.known is not None:
            return self.constant(a.known.transpose(axes), shape)
        (value,) = self.writer.emit("Transpose", [a.value], a.dtype, {"perm": list(axes)})
        return Traced(self, shape, a.dtype, value=value)

    def concat(self, arrays: Sequence[Traced], *, axis: int = 0) -> Traced:
        """Join arrays; along the first axis nothing is written before somebody reads the whole."""
        given = [array for array in arrays if array.shape[axis] != 0] or list(arrays[:1])
        if len(given) == 1:
            return given[0]
        size: Any = sum(array.shape[axis] for array in given)
        shape = (*given[0].shape[:axis], size, *given[0].shape[axis + 1 :])
        if builtins.all(array.known is not None for array in given):
            known = _join_known(given, axis)
            if known is not None:
                return self.constant(known, shape)
        if axis == 0:
            parts = [piece for array in given for piece in (array.parts or [array])]
            return Traced(self, shape, given[0].dtype, parts=parts)
        values = [array.value for array in given]
        (value,) = self.writer.emit("Concat", values, given[0].dtype, {"axis": axis})
        return Traced(self, shape, given[0].dtype, value=value)

    def stack(self, arrays: Sequence[Traced], *, axis: int = 0) -> Traced:
        """Join arrays along a new axis."""
        place = axis if axis >= 0 else arrays[0].ndim + 1 + axis
        return self.concat([self.expand_dims(one, axis=place) for one in arrays], axis=place)


def _complete(dims: Shape, source: Shape) -> Shape:
    """Put a size in the place of -1."""
    if -1 not in dims:
        return dims
    rest = [dim for dim in dims if not (isinstance(dim, int) and dim == -1)]
    whole, divided = _product(source), _product(tuple(rest))
    place = next(i for i, dim in enumerate(dims) if isinstance(dim, int) and dim == -1)
    return (*dims[:place], _quotient(whole, divided), *dims[place + 1 :])


def _product(dims: Shape) -> tuple[int, list[Size]]:
    """Return the product of the known sizes, and the others."""
    sizes = [dim for dim in dims if isinstance(dim, Size)]
    return math.prod(dim for dim in dims if not isinstance(dim, Size)), sizes


def _quotient(whole: tuple[int, list[Size]], divided: tuple[int, list[Size]]) -> Dim:
    (number, sizes), (divisor, others) = whole, divided
    if sizes == others:
        return number // divisor
    assert len(sizes) == 1
    assert not others
    return sizes[0] * number // divisor


def _join_known(arrays: list[Traced], axis: int) -> np.ndarray | None:
    """Join known arrays, if the result can be known: of one row each, the rows must be equal."""
    parts = [array.filled for array in arrays]
    if builtins.any(isinstance(array.shape[axis], Size) for array in arrays):
        same = builtins.all(np.array_equal(part, parts[0], equal_nan=True) for part in parts)
        return parts[0] if same and parts[0].shape[axis] == 1 else None
    return np.concatenate(parts, axis=axis)
