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
    """A section of the manifest: the kind of condition, and its possible values.

    Attributes:
        kind: The kind's name.
    """

    kind: str

    @property
    @abstractmethod
    def tensors(self) -> dict[str, RowSpec]:
        """Arrays of the condition, by the names of the graphs' inputs."""

    @property
    @abstractmethod
    def variety(self) -> int:
        """Number of different conditions."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Possible values in a few words for people."""

    @abstractmethod
    def parse(self, given: Sequence[Any]) -> Arrays:
        """Parse a caller's conditions to NumPy arrays, a row per sample.

        Raises:
            InputError: The engine has no such condition.
        """

    @abstractmethod
    def null(self, rows: Arrays) -> Arrays:
        """Make the null twin of every row, on the same device."""

    @abstractmethod
    def examples(self, count: int) -> list[Any]:
        """Choose ``count`` conditions, evenly spread, in the form that `parse` reads."""

    def facts(self) -> dict[str, Any]:
        """List the possible values for JSON."""
        return {"condition": self.model_dump(mode="json")}

    @abstractmethod
    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """Describe one sample's condition for JSON."""
