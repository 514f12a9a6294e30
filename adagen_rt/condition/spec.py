"""The contract of a kind of condition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adagen_rt.types import Arrays, Spec


@dataclass(frozen=True)
class RowSpec:
    """One array of a condition.

    Attributes:
        dtype: Name of its dtype.
        shape: Shape of one sample's row.
    """

    dtype: str
    shape: tuple[int, ...] = ()


class ConditionSpec(Spec, ABC):
    """A section of the manifest: which kind of condition, and what there is to choose from.

    Attributes:
        kind: The kind's name.
    """

    kind: str

    @property
    @abstractmethod
    def tensors(self) -> dict[str, RowSpec]:
        """Arrays that say what samples are conditioned on, by the names that graphs have."""

    @property
    @abstractmethod
    def variety(self) -> int:
        """How many different conditions there are to show."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What there is to choose from, in a few words for people."""

    @abstractmethod
    def parse(self, given: Sequence[Any]) -> Arrays:
        """Read what a caller asks for into NumPy arrays, a row a sample.

        Raises:
            InputError: There is nothing like it.
        """

    @abstractmethod
    def null(self, rows: Arrays) -> Arrays:
        """Make the null twin of every row, on the same device."""

    @abstractmethod
    def examples(self, count: int) -> list[Any]:
        """Choose what ``count`` samples may be asked for, evenly spread, as `parse` reads it."""

    def facts(self) -> dict[str, Any]:
        """Tell what there is to choose from, for JSON."""
        return {"condition": self.model_dump(mode="json")}

    @abstractmethod
    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """Tell what one sample is conditioned on, for JSON."""
