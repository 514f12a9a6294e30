"""Sizes of axes that follow from the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Size:
    """A size ``batch * rows + plus`` that is known when a model runs.

    Attributes:
        rows: Rows a sample, not 0.
        plus: What is added, whatever the batch.
    """

    rows: int
    plus: int = 0

    def __add__(self, other: Dim) -> Dim:
        rows, plus = _parts(other)
        return _dim(self.rows + rows, self.plus + plus)

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        rows, plus = _parts(other)
        return _dim(self.rows - rows, self.plus - plus)

    def __rsub__(self, other: int) -> Dim:
        return _dim(-self.rows, other - self.plus)

    def __mul__(self, factor: int) -> Dim:
        return _dim(self.rows * factor, self.plus * factor)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: int) -> Dim:
        if self.rows % divisor or self.plus % divisor:
            raise TypeError(f"{self} over {divisor} is no whole number for every batch")
        return _dim(self.rows // divisor, self.plus // divisor)

    def __index__(self) -> int:
        raise TypeError(f"{self} is known only when the model runs")

    def __str__(self) -> str:
        return f"{self.rows}*batch{self.plus:+d}" if self.plus else f"{self.rows}*batch"


Dim: TypeAlias = int | Size
Shape: TypeAlias = tuple[Dim, ...]


def _parts(dim: Dim) -> tuple[int, int]:
    return (dim.rows, dim.plus) if isinstance(dim, Size) else (0, int(dim))


def _dim(rows: int, plus: int) -> Dim:
    return Size(rows, plus) if rows else plus


def broadcast(*shapes: Shape) -> Shape:
    """Return the common shape of arrays; sizes of 1 stretch.

    Raises:
        ValueError: The shapes do not fit for every batch.
    """
    width = max(map(len, shapes))
    padded = [(1,) * (width - len(shape)) + shape for shape in shapes]
    return tuple(_common(dims) for dims in zip(*padded, strict=True))


def _common(dims: tuple[Dim, ...]) -> Dim:
    wide = {dim for dim in dims if dim != 1}
    if len(wide) > 1:
        raise ValueError(f"sizes {', '.join(map(str, sorted(wide, key=str)))} do not fit")
    return wide.pop() if wide else 1
