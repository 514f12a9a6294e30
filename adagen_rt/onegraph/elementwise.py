"""Functions of each element."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from adagen_rt.onegraph.shapes import Shapes
from adagen_rt.onegraph.size import Shape, broadcast
from adagen_rt.onegraph.traced import Traced


class Elementwise(Shapes):
    """Functions of each element; what is known is computed by NumPy at once."""

    def elementwise(
        self,
        op: str,
        compute: Callable[..., Any],
        *given: Any,
        dtype: Any = None,
        **attributes: Any,
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


def _written(array: Traced) -> Shape:
    """Return the shape of the value that stands for an array in an elementwise operator."""
    return array.shape if array.known is None else array.known.shape
