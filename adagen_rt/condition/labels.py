"""Class labels: the condition of generators that were trained on classes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import array_namespace
from pydantic import Field, model_validator

from adagen_rt.condition.spec import Asked, ConditionSpec, RowSpec
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

    noun: ClassVar[str] = "labels"
    kind: Literal["class"] = "class"
    guidance: Literal["classifier-free"] = "classifier-free"
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
    def ranges(self) -> dict[str, tuple[int, int]]:
        """All classes."""
        return {"labels": (0, self.count - 1)}

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

    def given(self, asked: Asked) -> Sequence[Any]:
        """Select the labels."""
        for name in ("prompts", "negative_prompts"):
            if getattr(asked, name) is not None:
                expected = f"labels and no prompts: this engine takes one of {self.count} classes"
                raise asked.refusal(name, expected)
        if asked.single and asked.labels is None:
            raise asked.refusal("labels", f"one of {self.count} classes, by number or name")
        return asked.labels

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

    def again(self, described: Mapping[str, Any]) -> Any:
        """Return the class's number."""
        return described["label"]

    def title(self, rows: Arrays, place: int) -> str:
        """Return the class's name, or its number where classes have no names."""
        number = int(rows["labels"][place])
        return self.names[number] if self.names else str(number)

    def number(self, label: int | str) -> int:
        """Find the number of a class given by number or name.

        Raises:
            InputError: There is no such class, or a text is the name of one and the number of
                another.
        """
        if not isinstance(label, str):
            return as_integer("label", label, 0, self.count - 1)
        named, number = self.find(label), as_number(label)
        if named is None and number is None:
            known = ", ".join(self.names) or "this engine's classes have no names"
            raise InputError("label", label, f"0 to {self.count - 1} or a name: {known}")
        if named is None:
            return as_integer("label", number, 0, self.count - 1)
        if number is not None and number != named and number < self.count:
            both = f"it is the name of class {named} and the number of class {number}"
            how = f"an integer, or on the command line {named}-{named} or {number}-{number}"
            raise InputError("label", label, f"what means one class: {both}; give {how}")
        return named

    def find(self, name: str) -> int | None:
        """Find the number of the class of a name, in any case and normal form; None without one."""
        known = [as_spelled(one) for one in self.names]
        return known.index(as_spelled(name)) if as_spelled(name) in known else None


def as_spelled(name: str) -> str:
    """Bring a name to the form in which names are compared: composed, in small letters."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def as_number(text: str) -> int | None:
    """Read the number of a class, if the text is one."""
    # Python refuses to parse numbers of thousands of digits.
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def class_rows(classes: Array) -> Arrays:
    """Make the rows of samples of classes (B,) int64."""
    return {"labels": classes}


def classes_of(rows: Arrays) -> Any:
    """Give the classes (B,) int64 that rows ask for."""
    return rows["labels"]
