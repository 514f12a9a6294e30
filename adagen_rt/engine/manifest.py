"""The schema of an engine's ``manifest.json``, parsed once into frozen models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    Field,
    PrivateAttr,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from adagen_rt.condition import ClassLabels, ConditionSpec, parse_condition
from adagen_rt.engine.contracts import GraphContract
from adagen_rt.engine.contradictions import contradictions
from adagen_rt.engine.family import Family, FamilySpec, find_family
from adagen_rt.engine.schedule import ScheduleSpec
from adagen_rt.engine.sections import Dtype, FileName, GraphSpec, ImageSpec, Sha256, SizesSpec
from adagen_rt.engine.validation import describe_faults
from adagen_rt.errors import InputError
from adagen_rt.extent import Extent
from adagen_rt.types import Spec

#: Format written by this version; a reader refuses newer ones.
FORMAT: Final = 1
#: Entry of ``versions`` with the tag of an engine whose weights are noise.
SEEDED: Final = "weights seeded with"
#: Entry of ``versions`` of an engine whose policy was never trained, over weights that were; there
#: and no field of its own, so that earlier versions still read it.
FRESH: Final = "policy"
UNTRAINED: Final = "fresh, not trained"

#: An engine's name.
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
MAX_NAME: Final = 100


Floats = npt.NDArray[np.float64]


class Manifest(Spec):
    """The whole of ``manifest.json``.

    Attributes:
        format: Version of this schema.
        name: The engine's name.
        family: The family and its sizes.
        condition: Kind of condition of the samples. The file has ``class_count`` and
            ``class_names`` for classes, and a section ``condition`` for other kinds.
        image: Size and range of the decoder's output.
        sizes: Other sizes that images can be asked for in, or None. The file has the key only
            where there are some.
        schedule: The action space and the default steps.
        refinement_std: Standard deviation of the noise on the policy's raw output with which
            refinement makes its candidates; an engine with a ``critic`` has it.
        graphs: ``backbone``, ``decoder``, the family's other graphs, and optionally ``policy``,
            ``fidelity_policy``, ``critic`` and ``reward``.
        dtype: Precision of the weights.
        versions: Versions of the software that wrote the engine.
        files: SHA-256 of every other file in the folder.
    """

    format: Literal[1] = FORMAT
    name: str = Field(pattern=NAME, max_length=MAX_NAME)
    family: SerializeAsAny[FamilySpec]
    condition: SerializeAsAny[ConditionSpec]
    image: ImageSpec
    sizes: SizesSpec | None = None
    schedule: ScheduleSpec
    refinement_std: float | None = Field(None, gt=0, le=100)
    graphs: dict[str, GraphSpec]
    dtype: Dtype
    versions: dict[str, str] = Field({})
    files: dict[FileName, Sha256]
    _fixed: str | None = PrivateAttr(None)

    @model_validator(mode="before")
    @classmethod
    def _read_classes(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "class_count" not in content:
            return content
        rest = {key: value for key, value in content.items() if not key.startswith("class_")}
        if "condition" in rest:
            raise ValueError("condition: got a section and class_count, expected one of the two")
        names = content.get("class_names", ())
        section = {"kind": "class", "count": content["class_count"], "names": names}
        try:
            return {**rest, "condition": parse_condition(section)}
        except ValidationError as error:
            raise ValueError(f"class_count, class_names: {describe_faults(error)}") from None

    @field_validator("family", mode="before")
    @classmethod
    def _parse_family(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        try:
            return find_family(str(value.get("family"))).Spec.model_validate(value)
        except ValidationError as error:
            raise ValueError(describe_faults(error)) from None

    @field_validator("condition", mode="before")
    @classmethod
    def _parse_condition(cls, value: Any) -> Any:
        if isinstance(value, ConditionSpec):
            return value
        try:
            return parse_condition(value)
        except ValidationError as error:
            raise ValueError(describe_faults(error)) from None

    @model_serializer(mode="wrap")
    def _written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        if self.sizes is None:  # earlier versions refuse the key
            content.pop("sizes", None)
        if not isinstance(self.condition, ClassLabels):
            return content
        section = content["condition"]
        classes = {"class_count": section["count"], "class_names": section["names"]}
        written: dict[str, Any] = {}
        for key, value in content.items():
            written |= classes if key == "condition" else {key: value}
        return written

    @model_validator(mode="after")
    def _complete(self) -> Manifest:
        if faults := list(contradictions(self)):
            raise ValueError("; ".join(faults))
        return self

    def expected_sizes(self) -> dict[str, tuple[int | None, ...]]:
        """Sizes of tensors that follow from the other sections, by ``graph.tensor``."""
        image = (None, self.image.channels, *self.image.size)
        raw = (None, len(self.schedule.actions))
        common = {"decoder.image": image, "reward.image": image, "policy.raw": raw}
        return {**common, "fidelity_policy.raw": raw, **self.family.sizes_of_tensors()}

    @property
    def plugin(self) -> Family:
        """The family's rules and programs."""
        return find_family(self.family.family)

    @property
    def contracts(self) -> dict[str, GraphContract]:
        """Contract of each graph by name: its inputs and outputs."""
        graph = self.graphs.get("condition")
        given = [tensor.name for tensor in graph.outputs] if graph else []
        return self.family.contracts(self.condition, given)

    @property
    def adaptive(self) -> bool:
        """Whether the engine has a policy, besides its static schedules."""
        return "policy" in self.graphs

    @property
    def fixed_schedule(self) -> str | None:
        """The only schedule that there is, as in a file of a whole generation; None in a folder."""
        return self._fixed

    @property
    def trained(self) -> bool:
        """Whether what chooses the schedule, if anything does, was trained."""
        return SEEDED not in self.versions and self.versions.get(FRESH) != UNTRAINED

    @property
    def adaptation(self) -> str:
        """How the schedule comes about, in words."""
        if not self.adaptive:
            return "static: no policy"
        if SEEDED in self.versions:
            return "chosen by an untrained policy: all weights are seeded noise"
        if self.versions.get(FRESH) == UNTRAINED:
            return "static: the policy is fresh, and leaves the hand-made schedule as it is"
        return "adapted by a policy"

    @property
    def calls(self) -> int:
        """Policy calls of a generation at the engine's own number of steps."""
        return self.family.calls(self.schedule.steps)

    def at(self, size: Extent | None) -> Manifest:
        """Copy it for images of another size; None is its own.

        Raises:
            InputError: The engine has no such size.
        """
        own = self.image.size
        if size is None or size == own:
            return self
        if self.sizes is None or not self.sizes.fits(size):
            order = "" if own.square else ", width by height"
            other = "" if self.sizes is None else f", or {self.sizes}"
            raise InputError("size", size.words, own.words + order + other)
        family = self.family.at(own, size)
        image = self.image.model_copy(update={"size": size})
        try:
            schedule = self.schedule.at(family.patches)
        except (ValueError, OverflowError):
            expected = "one at which the schedule's dynamic shift is above 0 and at most 1e6"
            raise InputError("size", size.words, expected) from None
        return self.model_copy(update={"image": image, "family": family, "schedule": schedule})

    def up_to(self, side: int) -> Manifest:
        """Copy it without sizes of a side above ``side``; the engine's own stays."""
        if self.sizes is None:
            return self
        largest = min(self.sizes.largest, side)
        return self.model_copy(update={"sizes": self.sizes.model_copy(update={"largest": largest})})

    def with_graphs(self, names: Iterable[str]) -> Manifest:
        """Copy it with graphs of which only the names are known, for networks in their place."""
        graph = GraphSpec.model_construct(file="", inputs=(), outputs=(), parameters=0)
        return self.model_copy(update={"graphs": dict.fromkeys(names, graph)})

    def with_name(self, name: str) -> Manifest:
        """Copy it under another name.

        Raises:
            InputError: It can be no engine's name.
        """
        if not re.match(NAME, name) or len(name) > MAX_NAME:
            expected = f"at most {MAX_NAME} letters, digits, '_', '.' and '-', no sign first"
            raise InputError("name", name, expected)
        return self.model_copy(update={"name": name})

    def within(self, files: Path | Mapping[str, str]) -> Manifest:
        """Copy it with the folder of its condition's files, or with their contents by name."""
        return self.model_copy(update={"condition": self.condition.within(files)})

    def fixed_to(self, schedule: str) -> Manifest:
        """Copy it as that of a file of a whole generation, which has one schedule."""
        copy = self.model_copy()
        copy._fixed = schedule
        return copy

    def schedule_faults(self) -> Iterator[str]:
        """Describe what of the schedule the family cannot follow."""
        steps = self.schedule.steps
        expected = self.family.check_steps(steps)
        if expected is not None:
            yield f"schedule.steps: got {steps}, expected {expected}"
        yield from self.family.schedule_faults(self.schedule)

    def with_schedule(self, schedule: ScheduleSpec) -> Manifest:
        """Copy it with another schedule."""
        return self.model_copy(update={"schedule": schedule})


def static_values(manifest: Manifest, steps: int) -> dict[str, Floats]:
    """Compute the hand-made schedule: float64 (calls,) by action name."""
    calls = manifest.family.calls(steps)
    return {action.name: action.static.values(steps, calls) for action in manifest.schedule.actions}
