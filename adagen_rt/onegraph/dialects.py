"""Dialects: what a host does not have is written in other operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from adagen_rt.engine.bundle import Dialect
from adagen_rt.onegraph.namespace import Namespace
from adagen_rt.onegraph.traced import Traced
from adagen_rt.onegraph.writer import Writer

#: Bytes of the words that are combined, and numbers that a byte has.
BYTES, BASE = 4, 256


class TensorRT(Namespace):
    """Without bitwise operators: words of 32 bits are combined byte by byte, by a table.

    Far slower where there are such operators.
    """

    __name__ = __name__

    def bitwise_and(self, a: Traced, b: Any) -> Traced:
        """Combine bits; those below a power of two are a remainder."""
        if a.dtype == np.bool_:
            return super().bitwise_and(a, b)
        if isinstance(b, int) and b & (b + 1) == 0:
            return self.remainder(a, b + 1)
        return self._bitwise(a, b, np.bitwise_and)

    def bitwise_or(self, a: Traced, b: Any) -> Traced:
        """Combine bits."""
        if a.dtype == np.bool_:
            return super().bitwise_or(a, b)
        return self._bitwise(a, b, np.bitwise_or)

    def bitwise_xor(self, a: Any, b: Any) -> Traced:
        """Combine bits."""
        return self._bitwise(a, b, np.bitwise_xor)

    def _bitwise(self, a: Any, b: Any, combine: Callable[[Any, Any], Any]) -> Traced:
        """Combine words that are not negative."""
        one = np.arange(BASE, dtype=np.int64)
        table = self.asarray(combine(one[:, None], one[None, :]).ravel())
        powers = self.asarray(BASE ** np.arange(BYTES, dtype=np.int64))
        first, second = (self._bytes(one, powers) for one in self._alike([a, b]))
        return self.sum(self.take(table, first * BASE + second) * powers, axis=-1)

    def _bytes(self, a: Traced, powers: Traced) -> Traced:
        column = self.expand_dims(a, axis=a.ndim)
        # Not `//`, which would ask for a remainder to round down: nothing is negative.
        shifted = self.elementwise("Div", np.floor_divide, column, powers)
        return self.remainder(shifted, BASE)


DIALECTS: Mapping[Dialect, Callable[[Writer], Namespace]] = {
    "onnxruntime": Namespace,
    "tensorrt": TensorRT,
}
