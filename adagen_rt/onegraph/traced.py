"""Arrays whose operations write nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from adagen_rt.onegraph.size import Dim, Size

if TYPE_CHECKING:
    from adagen_rt.onegraph.namespace import Namespace


class Traced:
    """An array of the model: known while it is written, or a value of its graph.

    Attributes:
        xp: The namespace, which has the graph.
        shape: Sizes, some of which follow from the batch.
        dtype: NumPy's dtype.
        known: The array if it is known; of size 1 along an axis where all is the same, which it
            always is along those that follow from the batch.
        parts: Arrays of which it is the concatenation along the first axis, if it is one.
        order_of: The array whose order along an axis it is, if it is one.
    """

    device = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        xp: Any,
        shape: Sequence[Dim],
        dtype: Any,
        *,
        known: np.ndarray | None = None,
        value: ir.Value | None = None,
        parts: Sequence[Traced] = (),
    ) -> None:
        self.xp: Any = xp
        self.shape: tuple[Any, ...] = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.known, self.parts = known, list(parts)
        self.order_of: tuple[Traced, int] | None = None
        self._value = value

    def __array_namespace__(self, api_version: str | None = None) -> Namespace:
        return self.xp

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def value(self) -> ir.Value:
        """The array as a value of the graph, of its whole shape."""
        writer = self.xp.writer
        if self._value is None and self.known is not None:
            constant = writer.constant(self.known)
            if self.known.shape == self.shape:
                return constant
            # Written where it is asked for: a body's value does not exist outside of it.
            return writer.emit("Expand", [constant, writer.dims(self.shape)], self.dtype)[0]
        if self._value is None:
            parts = [part.value for part in self.parts if part.shape[0] != 0]
            return writer.emit("Concat", parts, self.dtype, {"axis": 0})[0]
        return self._value

    @property
    def narrow(self) -> ir.Value:
        """The array as a value that may have size 1 along an axis where all is the same."""
        return self.value if self.known is None else self.xp.writer.constant(self.known)

    @property
    def filled(self) -> np.ndarray:
        """The known array, with its whole size along every axis that does not follow the batch."""
        assert self.known is not None
        whole = tuple(1 if isinstance(dim, Size) else dim for dim in self.shape)
        return np.broadcast_to(self.known, whole)

    def column(self, ndim: int) -> Traced:
        """Give numbers (B,) axes of size 1, to broadcast over arrays of so many axes."""
        key = (slice(None), *[None] * (ndim - 1))
        return self[key]

    def __bool__(self) -> bool:
        return bool(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __float__(self) -> float:
        return float(self._scalar())

    def _scalar(self) -> Any:
        if self.known is None:
            raise TypeError("a value of the graph decides nothing while it is written")
        return self.known.reshape(()).item()

    def __getitem__(self, key: Any) -> Any:
        from adagen_rt.onegraph.indexing import get

        return get(self, key)

    def __setitem__(self, key: Any, new: Any) -> None:
        from adagen_rt.onegraph.indexing import set_rows

        set_rows(self, key, new)

    def __add__(self, other: Any) -> Any:
        return self.xp.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self.xp.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return self.xp.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.xp.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return self.xp.multiply(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self.xp.multiply(other, self)

    def __truediv__(self, other: Any) -> Any:
        return self.xp.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.xp.divide(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return self.xp.floor_divide(self, other)

    def __mod__(self, other: Any) -> Any:
        return self.xp.remainder(self, other)

    def __pow__(self, power: int) -> Any:
        return self.xp.pow(self, power)

    def __and__(self, other: Any) -> Any:
        return self.xp.bitwise_and(self, other)

    def __or__(self, other: Any) -> Any:
        return self.xp.bitwise_or(self, other)

    def __xor__(self, other: Any) -> Any:
        return self.xp.bitwise_xor(self, other)

    def __lshift__(self, bits: int) -> Any:
        return self.xp.bitwise_left_shift(self, bits)

    def __rshift__(self, bits: int) -> Any:
        return self.xp.bitwise_right_shift(self, bits)

    def __lt__(self, other: Any) -> Any:
        return self.xp.less(self, other)

    def __le__(self, other: Any) -> Any:
        return self.xp.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return self.xp.greater(self, other)

    def __ge__(self, other: Any) -> Any:
        return self.xp.greater_equal(self, other)

    def __eq__(self, other: Any) -> Any:
        return self.xp.equal(self, other)

    def __ne__(self, other: Any) -> Any:
        return self.xp.not_equal(self, other)

    def __neg__(self) -> Any:
        return self.xp.negative(self)

    def __invert__(self) -> Any:
        return self.xp.logical_not(self)
