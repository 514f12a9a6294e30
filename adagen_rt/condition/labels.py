"""Class labels: the condition of generators that were trained on classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from array_api_compat import array_namespace
from pydantic import Field, model_validator

from adagen_rt.condition.spec import ConditionSpec, RowSpec
from adagen_rt.errors import InputError, as_integer
from adagen_rt.types import Array, Arrays

#: Class names shown in a summary; ImageNet has a thousand.
SHOWN_NAMES = 12
#: Digits that a class's number may be written with.
MAX_DIGITS = 20


class ClassLabels(ConditionSpec):
    """Classes 0 to ``count - 1``; the null class is ``count``.

    Attributes:
        count: How many classes there are.
        names: Their names, or nothing.
    """

    kind: Literal["class"] = "class"
    count: int = Field(ge=1, le=1 << 20)
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _name_every_class(self) -> ClassLabels:
        if self.names and len(self.names) != self.count:
            raise ValueError(f"names has {len(self.names)} entries, count is {self.count}")
        return self

    @property
    def tensors(self) -> dict[str, RowSpec]:
        """``labels`` () int64."""
        return {"labels": RowSpec("int64")}

    @property
    def variety(self) -> int:
        """The number of classes."""
        return self.count

    @property
    def summary(self) -> str:
        """How many classes, and the names of the first."""
        names = ", ".join(self.names[:SHOWN_NAMES])
        more = ", ..." if len(self.names) > SHOWN_NAMES else ""
        return f"{self.count} classes" + (f": {names}{more}" if names else "")

    def parse(self, given: Sequence[Any]) -> Arrays:
        """``labels`` (B,) int64, of numbers or names."""
        return {"labels": np.asarray([self.number(label) for label in given], np.int64)}

    def null(self, rows: Arrays) -> Arrays:
        """The null class for every row."""
        labels = rows["labels"]
        return {"labels": array_namespace(labels).full_like(labels, self.count)}

    def examples(self, count: int) -> list[Any]:
        """All classes in turn, or, of too many, as many evenly spread ones."""
        if count < self.count:
            return [place * self.count // count for place in range(count)]
        return [place % self.count for place in range(count)]

    def facts(self) -> dict[str, Any]:
        """Number and names of the classes."""
        return {"class_count": self.count, "class_names": list(self.names)}

    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """The class's number."""
        return {"label": int(rows["labels"][place])}

    def number(self, label: int | str) -> int:
        """Find the number of a class given by number or name.

        Raises:
            InputError: There is no such class.
        """
        if not isinstance(label, str):
            return as_integer("label", label, 0, self.count - 1)
        names = [name.casefold() for name in self.names]
        if label.casefold() in names:
            return names.index(label.casefold())
        # Python does not read numbers of thousands of digits.
        if label.isdecimal() and len(label) <= MAX_DIGITS:
            return as_integer("label", int(label), 0, self.count - 1)
        known = ", ".join(self.names) or "this engine's classes have no names"
        raise InputError("label", label, f"0 to {self.count - 1} or a name: {known}")


def class_rows(classes: Array) -> Arrays:
    """Make the rows of samples of classes (B,) int64."""
    return {"labels": classes}


def classes_of(rows: Arrays) -> Any:
    """Give the classes (B,) int64 that rows ask for."""
    return rows["labels"]
