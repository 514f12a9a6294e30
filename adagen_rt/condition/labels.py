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
#: Largest number of digits of a class's number.
MAX_DIGITS = 20


class ClassLabels(ConditionSpec):
    """Classes 0 to ``count - 1``; the null class is ``count``.

    Attributes:
        count: Number of classes.
        names: Names of the classes, or nothing.
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
        """Number of classes, and the names of the first."""
        names = ", ".join(self.names[:SHOWN_NAMES])
        more = ", ..." if len(self.names) > SHOWN_NAMES else ""
        return f"{self.count} classes" + (f": {names}{more}" if names else "")

    def parse(self, given: Sequence[Any]) -> Arrays:
        """Parse numbers or names to ``labels`` (B,) int64."""
        return {"labels": np.asarray([self.number(label) for label in given], np.int64)}

    def null(self, rows: Arrays) -> Arrays:
        """Return the null class for every row."""
        labels = rows["labels"]
        return {"labels": array_namespace(labels).full_like(labels, self.count)}

    def examples(self, count: int) -> list[Any]:
        """Choose all classes in turn, or ``count`` evenly spread ones if there are more."""
        if count < self.count:
            return [place * self.count // count for place in range(count)]
        return [place % self.count for place in range(count)]

    def facts(self) -> dict[str, Any]:
        """Return number and names of the classes."""
        return {"class_count": self.count, "class_names": list(self.names)}

    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """Return the class's number."""
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
        # Python refuses to parse numbers of thousands of digits.
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
