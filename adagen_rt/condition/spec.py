"""The contract of a kind of condition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from adagen_rt.errors import InputError
from adagen_rt.types import Arrays, Spec

#: How a backbone is guided: by a null row beside every conditional one, by a number that it reads
#: as the input ``guidance`` (R,) float32, or not at all.
Guidance = Literal["classifier-free", "embedded", "none"]
C = TypeVar("C", bound="ConditionSpec")


def copies_under(guidance: Guidance) -> int:
    """Return how many rows of the backbone a sample has."""
    return 2 if guidance == "classifier-free" else 1


@dataclass(frozen=True)
class RowSpec:
    """One array of a condition.

    Attributes:
        dtype: Name of its dtype.
        shape: Shape of one sample's row.
    """

    dtype: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What a caller asks for, in the words of every kind of condition; others are None.

    Attributes:
        labels: Class numbers or names.
        prompts: A text for each sample.
        negative_prompts: What guidance leads away from: one for all, or one for each sample.
        single: Whether one image is asked for, by fields whose names are singular.
    """

    labels: Any = None
    prompts: Any = None
    negative_prompts: Any = None
    single: bool = False

    @classmethod
    def one(cls, label: Any, prompt: Any, negative_prompt: Any) -> Asked:
        """Make what a caller asks of one image."""
        given = {"labels": label, "prompts": prompt, "negative_prompts": negative_prompt}
        lists = {name: None if value is None else [value] for name, value in given.items()}
        return cls(**lists, single=True)

    def refusal(self, field: str, expected: str) -> InputError:
        """Make the error of a field that is wrong, named as the caller did."""
        given = getattr(self, field)
        if not self.single:
            return InputError(field, given, expected)
        return InputError(field.removesuffix("s"), given[0] if given else None, expected)


class ConditionSpec(Spec, ABC):
    """A section of the manifest: the kind of condition, and its possible values.

    Attributes:
        kind: The kind's name.
        guidance: How the backbone is guided.
        noun: What a caller gives for each sample, in the plural.
        common_null: Whether all samples have the same null twin.
        one_by_one: Whether the graph `condition` runs for one sample at a time, so that nothing
            depends on the neighbours, and what was asked for lately is not computed again.
    """

    kind: str
    guidance: Guidance
    noun: ClassVar[str]
    common_null: ClassVar[bool] = True
    one_by_one: ClassVar[bool] = False

    @property
    def copies(self) -> int:
        """Rows of a sample in a call of the backbone."""
        return copies_under(self.guidance)

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

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the engine folder's files that it reads."""
        return ()

    @property
    def asked_tensors(self) -> dict[str, RowSpec]:
        """Arrays that `inputs` gives: the condition's, and those of null twins if asked for."""
        return self.tensors

    @property
    @abstractmethod
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Smallest and largest number of each of `asked_tensors`.

        Raises:
            EngineError: A file that says so is damaged.
            MissingExtraError: What reads it is not installed.
        """

    @property
    def never_blank(self) -> frozenset[str]:
        """Name those of `asked_tensors` that have a number above 0 in every row."""
        return frozenset()

    def within(self: C, files: Path | Mapping[str, str]) -> C:
        """Copy it with the folder in which its files lie, or with their contents by name."""
        return self

    def load(self) -> None:
        """Read its files, so that the first request does not wait for them.

        Raises:
            EngineError: A file is damaged.
            MissingExtraError: What reads it is not installed.
        """

    def read_ahead(self, asked: Iterable[Mapping[str, Any]]) -> None:
        """Do what takes long in `parse`, and remember it; what is wrong is left to `parse`.

        Args:
            asked: What images are of, by the singular names of `Asked`.
        """

    @abstractmethod
    def given(self, asked: Asked) -> Sequence[Any]:
        """Select what `parse` reads: an entry for each sample.

        Raises:
            InputError: Something was asked for that this kind does not have.
        """

    @abstractmethod
    def parse(self, given: Sequence[Any]) -> Arrays:
        """Parse a caller's conditions to NumPy arrays, a row per sample.

        Raises:
            InputError: The engine has no such condition.
        """

    def inputs(self, rows: Arrays) -> Arrays:
        """Select the rows that a loop needs: numbers, and not what only people read."""
        return rows

    def kept(self, rows: Arrays) -> Arrays:
        """Select the rows that a file of images has, as NumPy writes them."""
        return rows

    def notes(self, rows: Arrays) -> list[str]:
        """Tell what of the request was not used as it was given; a line each."""
        return []

    @abstractmethod
    def null(self, rows: Arrays) -> Arrays:
        """Make the null twin of every row, on the same device."""

    @abstractmethod
    def examples(self, count: int) -> list[Any]:
        """Choose ``count`` conditions, evenly spread, in the form that `parse` reads."""

    def trial(self, count: int) -> Arrays:
        """Make rows to try graphs with, without any file of the engine's."""
        return self.parse(self.examples(count))

    def facts(self) -> dict[str, Any]:
        """List the possible values for JSON."""
        return {"condition": self.model_dump(mode="json")}

    @abstractmethod
    def describe(self, rows: Arrays, place: int) -> dict[str, Any]:
        """Describe one sample's condition for JSON."""

    @abstractmethod
    def again(self, described: Mapping[str, Any]) -> Any:
        """Make what `parse` reads of what `describe` gave.

        Raises:
            KeyError: It describes another kind of condition.
        """

    def title(self, rows: Arrays, place: int) -> str:
        """Name one sample's condition in a few words for people."""
        asked = self.describe(rows, place)
        return ", ".join(f"{name} {value}" for name, value in asked.items())

    def count_tokens(self, described: Mapping[str, Any]) -> int:
        """Count the tokens of the text in what `describe` gave; 0 where there is none."""
        return 0

    def slug(self, rows: Arrays, place: int) -> str:
        """Name one sample's condition in a file's name; empty where nothing can be said."""
        return "-".join(f"{name}{value}" for name, value in self.describe(rows, place).items())
