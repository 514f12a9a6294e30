"""The part of the array API standard that the step rules use, on traced arrays."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.onegraph.size import Dim, Shape, Size, broadcast
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer

Axes = int | tuple[int, ...] | None


class Namespace:
    """Functions of the standard, which write nodes where an array is not known.

    What is known is computed by NumPy at once.

    Args:
        writer: The graph.
    """

    float32, int64, int32, uint8, bool = np.float32, np.int64, np.int32, np.uint8, np.bool_
    inf, nan = math.inf, math.nan
    #: array-api-compat tells namespaces apart by their names.
    __name__ = __name__

    def __init__(self, writer: Writer) -> None:
        self.writer = writer

    # Creation ------------------------------------------------------------------------------

    def asarray(self, given: Any, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Any:
        """Make an array of numbers; a traced one is never changed in place, so it stays."""
        if isinstance(given, Traced):
            return given
        return self.constant(np.asarray(given, dtype))

    def constant(self, known: np.ndarray, shape: Shape | None = None) -> Traced:
        """Make a known array, of a shape that it stretches to."""
        return Traced(self, known.shape if shape is None else shape, known.dtype, known=known)

    def full(self, shape: Any, value: Any, *, dtype: Any = None, device: Any = None) -> Traced:
        """Make an array of one number."""
        dims = _shape(shape)
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

    def arange(self, *bounds: Any, dtype: Any = np.int64, device: Any = None) -> Traced:
        """Make the numbers of a range."""
        if not builtins.any(isinstance(bound, Size) for bound in bounds):
            return self.constant(np.arange(*bounds, dtype=dtype))
        start, stop = (0, *bounds)[-2:]
        zero, one = (self.writer.constant(np.array(n, np.int64)) for n in (start, 1))
        limit = self.writer.emit(
            "Squeeze", [self.writer.dims([stop])], np.int64
        )[0]
        (value,) = self.writer.emit("Range", [zero, limit, one], np.int64)
        return Traced(self, (stop - start,), np.int64, value=value)

    # Elementwise ---------------------------------------------------------------------------

    def elementwise(
        self, op: str, compute: Callable[..., Any], *given: Any, dtype: Any = None, **attributes: Any
    ) -> Traced:
        """Compute an operator that works on each element.

        Args:
            op: Operator of ONNX.
            compute: The same of NumPy.
            given: Arrays and numbers.
            dtype: NumPy's dtype of the result; by default that of the arrays.
            attributes: Attributes of the operator.
        """
        arrays = self._alike(given)
        shape = broadcast(*(array.shape for array in arrays))
        kind = np.dtype(arrays[0].dtype if dtype is None else dtype)
        if builtins.all(array.known is not None for array in arrays):
            with np.errstate(all="ignore"):
                known = np.asarray(compute(*(array.known for array in arrays)), kind)
            return self.constant(known, shape)
        values = [array.narrow for array in arrays]
        (value,) = self.writer.emit(op, values, kind, attributes)
        written = broadcast(*(_written(array) for array in arrays))
        if written != shape:
            (value,) = self.writer.emit("Expand", [value, self.writer.dims(shape)], kind)
        return Traced(self, shape, kind, value=value)

    def _alike(self, given: Sequence[Any]) -> list[Traced]:
        """Make arrays of numbers, of the dtype that the arrays beside them have."""
        kinds = [x.dtype for x in given if isinstance(x, Traced)]
        return [x if isinstance(x, Traced) else self._number(x, kinds) for x in given]

    def _number(self, given: Any, kinds: list[Any]) -> Traced:
        if isinstance(given, np.ndarray) or not kinds:
            return self.constant(np.asarray(given))
        return self.constant(np.asarray(given, kinds[-1]))

    def add(self, a: Any, b: Any) -> Traced:
        """Add."""
        return self.elementwise("Add", np.add, a, b)

    def subtract(self, a: Any, b: Any) -> Traced:
        """Subtract."""
        return self.elementwise("Sub", np.subtract, a, b)

    def multiply(self, a: Any, b: Any) -> Traced:
        """Multiply."""
        return self.elementwise("Mul", np.multiply, a, b)

    def divide(self, a: Any, b: Any) -> Traced:
        """Divide."""
        return self.elementwise("Div", np.divide, a, b)

    def floor_divide(self, a: Any, b: Any) -> Traced:
        """Divide integers and round down."""
        return self.elementwise("Div", np.floor_divide, a - self.remainder(a, b), b)

    def remainder(self, a: Any, b: Any) -> Traced:
        """Return what is left of integers after a division, with the divisor's sign."""
        return self.elementwise("Mod", np.remainder, a, b)

    def pow(self, a: Traced, power: int) -> Traced:
        """Multiply an array with itself."""
        result = a
        for _ in range(power - 1):
            result = result * a
        return result

    def negative(self, a: Traced) -> Traced:
        """Negate."""
        return self.elementwise("Neg", np.negative, a)

    def abs(self, a: Traced) -> Traced:
        """Take the absolute value."""
        return self.elementwise("Abs", np.abs, a)

    def floor(self, a: Traced) -> Traced:
        """Round down."""
        return self.elementwise("Floor", np.floor, a)

    def round(self, a: Traced) -> Traced:
        """Round half to even."""
        return self.elementwise("Round", np.round, a)

    def sqrt(self, a: Traced) -> Traced:
        """Take the square root."""
        return self.elementwise("Sqrt", np.sqrt, a)

    def exp(self, a: Traced) -> Traced:
        """Exponentiate."""
        return self.elementwise("Exp", np.exp, a)

    def log(self, a: Traced) -> Traced:
        """Take the natural logarithm."""
        return self.elementwise("Log", np.log, a)

    def cos(self, a: Traced) -> Traced:
        """Take the cosine."""
        return self.elementwise("Cos", np.cos, a)

    def sin(self, a: Traced) -> Traced:
        """Take the sine."""
        return self.elementwise("Sin", np.sin, a)

    def expm1(self, a: Traced) -> Traced:
        """Compute ``exp(a) - 1`` with all digits of a small result: ``2 e^(a/2) sinh(a/2)``."""
        # Below this the result is -1, and the hyperbolic sine would overflow soon.
        half = self.maximum(a, -80.0) * 0.5
        return 2.0 * self.exp(half) * self.elementwise("Sinh", np.sinh, half)

    def log1p(self, a: Traced) -> Traced:
        """Compute ``log(1 + a)`` with all digits of a small result: ``2 atanh(a / (2 + a))``."""
        return 2.0 * self.elementwise("Atanh", np.arctanh, a / (2.0 + a))

    def minimum(self, a: Any, b: Any) -> Traced:
        """Take the smaller one."""
        return self.elementwise("Min", np.minimum, a, b)

    def maximum(self, a: Any, b: Any) -> Traced:
        """Take the larger one."""
        return self.elementwise("Max", np.maximum, a, b)

    def clip(self, a: Traced, low: Any = None, high: Any = None) -> Traced:
        """Bring into a range."""
        lower = a if low is None else self.maximum(a, low)
        return lower if high is None else self.minimum(lower, high)

    def less(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.elementwise("Less", np.less, a, b, dtype=np.bool_)

    def less_equal(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.elementwise("LessOrEqual", np.less_equal, a, b, dtype=np.bool_)

    def greater(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.elementwise("Greater", np.greater, a, b, dtype=np.bool_)

    def greater_equal(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.elementwise("GreaterOrEqual", np.greater_equal, a, b, dtype=np.bool_)

    def equal(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.elementwise("Equal", np.equal, a, b, dtype=np.bool_)

    def not_equal(self, a: Any, b: Any) -> Traced:
        """Compare."""
        return self.logical_not(self.equal(a, b))

    def logical_not(self, a: Traced) -> Traced:
        """Negate a truth value."""
        return self.elementwise("Not", np.logical_not, a)

    def bitwise_and(self, a: Traced, b: Any) -> Traced:
        """Combine bits, or truth values."""
        if a.dtype == np.bool_:
            return self._logical("And", np.logical_and, a, b, absorbing=False)
        return self.elementwise("BitwiseAnd", np.bitwise_and, a, b)

    def bitwise_or(self, a: Traced, b: Any) -> Traced:
        """Combine bits, or truth values."""
        if a.dtype == np.bool_:
            return self._logical("Or", np.logical_or, a, b, absorbing=True)
        return self.elementwise("BitwiseOr", np.bitwise_or, a, b)

    def _logical(
        self, op: str, compute: Callable[..., Any], a: Traced, b: Any, absorbing: builtins.bool
    ) -> Traced:
        """Combine truth values; one that is known decides, or has no influence."""
        pair = self._alike([a, b])
        shape = broadcast(*(one.shape for one in pair))
        for one, other in (pair, pair[::-1]):
            if one.known is None or other.known is not None:
                continue
            if (one.known == absorbing).all():
                return self.full(shape, absorbing, dtype=np.bool_)
            if (one.known != absorbing).all() and other.shape == shape:
                return other
        return self.elementwise(op, compute, *pair)

    def bitwise_xor(self, a: Any, b: Any) -> Traced:
        """Combine bits."""
        return self.elementwise("BitwiseXor", np.bitwise_xor, a, b)

    def bitwise_left_shift(self, a: Traced, bits: int) -> Traced:
        """Multiply by a power of two: ONNX shifts no signed integers."""
        return a * (1 << bits)

    def bitwise_right_shift(self, a: Traced, bits: int) -> Traced:
        """Divide integers that are not negative by a power of two."""
        return self.elementwise("Div", np.floor_divide, a, 1 << bits)

    def isnan(self, a: Traced) -> Traced:
        """Tell where there is no number."""
        return self.elementwise("IsNaN", np.isnan, a, dtype=np.bool_)

    def isfinite(self, a: Traced) -> Traced:
        """Tell where there is a finite number."""
        infinite = self.elementwise("IsInf", np.isinf, a, dtype=np.bool_)
        return ~(infinite | self.isnan(a))

    def where(self, condition: Traced, a: Any, b: Any) -> Traced:
        """Choose between two arrays; a known choice is made at once."""
        first, second = self._alike([a, b])
        if condition.known is not None and (same := np.unique(condition.known)).size == 1:
            chosen = first if same[0] else second
            shape = broadcast(condition.shape, first.shape, second.shape)
            return chosen if chosen.shape == shape else self.broadcast_to(chosen, shape)
        if first.dtype == np.bool_:  # ONNX Runtime chooses between no truth values
            return (condition & first) | (~condition & second)
        return self.elementwise("Where", np.where, condition, first, second, dtype=first.dtype)

    def astype(self, a: Traced, dtype: Any) -> Traced:
        """Convert."""
        kind = np.dtype(dtype)
        if a.dtype == kind:
            return a
        code = ir.DataType.from_numpy(kind).value
        return self.elementwise("Cast", lambda x: x.astype(kind), a, dtype=kind, to=code)

    # Shapes --------------------------------------------------------------------------------

    def reshape(self, a: Traced, shape: Any) -> Traced:
        """Give another shape; one size may be -1."""
        dims = _complete(_shape(shape), a.shape)
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
        dims = _shape(shape)
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

    # Choice and order ----------------------------------------------------------------------

    def take(self, a: Traced, places: Traced, *, axis: int = 0) -> Traced:
        """Take places of an axis, by a list of them."""
        shape = (*a.shape[:axis], *places.shape, *a.shape[axis + 1 :])
        if a.known is not None and places.known is not None:
            return self.constant(np.take(a.filled, places.known, axis=axis), shape)
        if places.known is not None and places.known.size == 1 and isinstance(axis, int):
            one = a[(*[slice(None)] * axis, int(places.known.item()))]
            return self.broadcast_to(self.expand_dims(one, axis=axis), shape)
        values = [a.value, places.value]
        (value,) = self.writer.emit("Gather", values, a.dtype, {"axis": axis})
        return Traced(self, shape, a.dtype, value=value)

    def take_along_axis(self, a: Traced, places: Traced, *, axis: int = -1) -> Traced:
        """Take one place of an axis for each element of ``places``."""
        values = [a.value, places.value]
        (value,) = self.writer.emit("GatherElements", values, a.dtype, {"axis": axis % a.ndim})
        return Traced(self, places.shape, a.dtype, value=value)

    def argmax(self, a: Traced, *, axis: int = -1) -> Traced:
        """Find the largest; the first of equal ones."""
        given = {"axis": axis % a.ndim, "keepdims": 0, "select_last_index": 0}
        (value,) = self.writer.emit("ArgMax", [a.value], np.int64, given)
        return Traced(self, _without(a.shape, axis), np.int64, value=value)

    def sort(self, a: Traced, *, axis: int = -1) -> Traced:
        """Sort, the smallest first."""
        return self._ranked(a, axis)[0]

    def argsort(self, a: Traced, *, axis: int = -1, stable: builtins.bool = True) -> Traced:
        """Find the order; equal ones stay in theirs."""
        return self._ranked(a, axis)[1]

    def _ranked(self, a: Traced, axis: int) -> tuple[Traced, Traced]:
        size = self.writer.dims([a.shape[axis]])
        given = {"axis": axis % a.ndim, "largest": 0, "sorted": 1}
        kinds = [a.dtype, np.dtype(np.int64)]
        values = self.writer.emit("TopK", [a.value, size], kinds, given, outputs=2)
        ranked, order = (
            Traced(self, a.shape, kind, value=v) for kind, v in zip(kinds, values, strict=True)
        )
        return ranked, order

    # Reductions ----------------------------------------------------------------------------

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


def _shape(given: Any) -> Shape:
    return (given,) if isinstance(given, (int, Size)) else tuple(given)


def _written(array: Traced) -> Shape:
    """Return the shape of the value that stands for an array in an elementwise operator."""
    return array.shape if array.known is None else array.known.shape


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
    assert len(sizes) == 1 and not others
    return sizes[0] * number // divisor


def _axes(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return tuple(one % ndim for one in ((axis,) if isinstance(axis, int) else axis))


def _without(shape: Shape, axis: int) -> Shape:
    place = axis % len(shape)
    return (*shape[:place], *shape[place + 1 :])


def _join_known(arrays: list[Traced], axis: int) -> np.ndarray | None:
    """Join known arrays, if the result can be known: of one row each, the rows must be equal."""
    parts = [array.filled for array in arrays]
    if builtins.any(isinstance(array.shape[axis], Size) for array in arrays):
        same = builtins.all(np.array_equal(part, parts[0], equal_nan=True) for part in parts)
        return parts[0] if same and parts[0].shape[axis] == 1 else None
    return np.concatenate(parts, axis=axis)
