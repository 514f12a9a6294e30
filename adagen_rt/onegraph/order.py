"""Functions that choose and sort."""

from __future__ import annotations

import builtins

import numpy as np

from adagen_rt.onegraph.elementwise import Elementwise
from adagen_rt.onegraph.size import Shape
from adagen_rt.onegraph.traced import Traced


class Order(Elementwise):
    """Functions that choose and sort."""

    def take(self, a: Traced, places: Traced, *, axis: int = 0) -> Traced:
        """Take places of an axis, by a list of them."""
        shape = (*a.shape[:axis], *places.shape, *a.shape[axis + 1 :])
        if a.known is not None and places.known is not None:
            return self.constant(np.take(a.filled, places.known, axis=axis), shape)
        if places.known is not None and places.known.size == 1 and isinstance(axis, int):
            key = (*[slice(None)] * axis, int(places.known.item()))
            one = a[key]
            return self.broadcast_to(self.expand_dims(one, axis=axis), shape)
        values = [a.value, places.value]
        (value,) = self.writer.emit("Gather", values, a.dtype, {"axis": axis})
        return Traced(self, shape, a.dtype, value=value)

    def take_along_axis(self, a: Traced, places: Traced, *, axis: int = -1) -> Traced:
        """Take one place of an axis for each element of ``places``."""
        if places.order_of is not None and places.order_of[0] is a:
            return self._ranked(a, places.order_of[1])[0]
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
        if a.order_of is not None:
            return self._inverse(a, axis)
        order = self._ranked(a, axis)[1]
        order.order_of = (a, axis)
        return order

    def _inverse(self, order: Traced, axis: int) -> Traced:
        """Sort an order, which is to write each number's rank to its place."""
        place, size = axis % order.ndim, order.shape[axis]
        column = (size, *[1] * (order.ndim - 1 - place))
        ranks = self.broadcast_to(self.reshape(self.arange(size), column), order.shape)
        values = [self.zeros_like(order).value, order.value, ranks.value]
        (value,) = self.writer.emit("ScatterElements", values, np.int64, {"axis": place})
        return Traced(self, order.shape, np.int64, value=value)

    def _ranked(self, a: Traced, axis: int) -> tuple[Traced, Traced]:
        size = self.writer.dims([a.shape[axis]])
        given = {"axis": axis % a.ndim, "largest": 0, "sorted": 1}
        kinds = [a.dtype, np.dtype(np.int64)]
        values = self.writer.emit("TopK", [a.value, size], kinds, given, outputs=2)
        ranked, order = (
            Traced(self, a.shape, kind, value=v) for kind, v in zip(kinds, values, strict=True)
        )
        return ranked, order


def _without(shape: Shape, axis: int) -> Shape:
    place = axis % len(shape)
    return (*shape[:place], *shape[place + 1 :])
