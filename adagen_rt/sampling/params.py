"""Sampling parameters: every option of a generation, each in one place.

A field below is the option. Its name is also the Python keyword, the HTTP field and, with dashes,
the command line's option. Its row has the type, the range and the meaning.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypedDict, get_args

import numpy as np

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import EngineError, InputError, as_integer
from adagen_rt.extent import Extent
from adagen_rt.sampling.option import Row, read_size

MAX_STEPS = 1000
#: Largest number of candidates of one sample, at a step or in total.
MAX_CANDIDATES = 64
#: Why a file of a whole generation has no other value of a field.
AS_WRITTEN = "as this file was written"

ScheduleName = Literal["policy", "static", "tuned"]
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)


def _option(default: Any, kind: type[Any], text: str, **limits: Any) -> Any:
    return field(default=default, metadata={"row": Row(kind, text, **limits)})


@dataclass(frozen=True)
class SamplingParams:
    """Sampling parameters of a generation; None takes the engine's own choice.

    Attributes:
        steps: Backbone evaluations, 1 to 1000; None takes the number that the policy was trained
            for. With another number, the policy sees the corresponding step of its own schedule.
            Other libraries call them `num_inference_steps`. The default solver of DiT and SiT
            takes two evaluations per step, so that the number must be even.
        schedule: ``"policy"`` asks the policy network for each sample, ``"static"`` runs the
            hand-made schedule, ``"tuned"`` the best static one that a search found. None takes the
            policy, or in an engine without one the hand-made schedule.
        fidelity: Share from 0, the adversarially trained policy, to 1, the policy trained for
            fidelity; one number for all samples or one for each.
        refine: Actions that are tried at every policy call, 1 to 64; the critic keeps one.
        best_of: Images that are made of each sample, 1 to 64; the reward model keeps one.
        reuse: From 0 to 1: an evaluation is left out, and the line through the last two predictions
            takes its place, where that differs from the last prediction by less than this part of
            its size. 0 makes all of them. Of DiT, SiT and their like.
        size: Pixels of the images: ``"768x512"`` or (768, 512), width first, or one number for a
            square; None takes the engine's own. Only engines of several sizes have others.
    """

    steps: int | None = _option(
        None, int, "Backbone evaluations; default: the engine's own.", low=1, high=MAX_STEPS
    )
    schedule: ScheduleName | None = _option(
        None,
        str,
        "Who chooses the parameters of a step: the policy, the hand-made static schedule, or the "
        "tuned one that a search found best. Default: the policy, where there is one.",
        choices=SCHEDULES,
    )
    fidelity: float | Sequence[float] = _option(
        0.0,
        float,
        "From 0, the adversarially trained policy (diverse), to 1, the one trained for fidelity.",
        high=1,
        graph="fidelity_policy",
        each=True,
    )
    refine: int = _option(
        1,
        int,
        "Actions tried at each step, of which the critic keeps one; costs as many times as much.",
        low=1,
        high=MAX_CANDIDATES,
        graph="critic",
    )
    best_of: int = _option(
        1,
        int,
        "Images made of each, of which the reward model keeps one; costs as many times as much. "
        "Try 2: among many it prefers too few kinds.",
        low=1,
        high=MAX_CANDIDATES,
        graph="reward",
    )
    reuse: float = _option(
        0.0,
        float,
        "Leave an evaluation out where the last two say what it would give, up to a change of so "
        "large a part; 0 leaves none out. Of DiT, SiT and their like.",
        high=1,
    )
    size: str | tuple[int, int] | None = _option(
        None,
        str,
        "Pixels of the images, width first, such as 768x512, of an engine of several sizes. "
        "Default: the engine's own.",
    )

    def area_cost(self, manifest: Manifest) -> int:
        """How many times the engine's own images one of these is, rounded up.

        Raises:
            InputError: The engine has no such size.
        """
        return -(-manifest.at(self.extent).image.size.area // manifest.image.size.area)

    @property
    def extent(self) -> Extent | None:
        """The size that is asked for; None is the engine's own."""
        return None if self.size is None else read_size(self.size)

    @property
    def blended(self) -> bool:
        """Whether any sample follows the fidelity policy."""
        return bool(np.any(np.asarray(self.fidelity)))

    def changed(self) -> dict[str, Any]:
        """List the fields that differ from their defaults."""
        return {
            option.name: value
            for option in fields(self)
            if not np.array_equal(value := getattr(self, option.name), option.default)  # type: ignore[arg-type]
        }

    def check(self, manifest: Manifest) -> SamplingParams:
        """Check everything against an engine, and fill in the engine's own choices.

        Raises:
            InputError: A field is out of its range, or contradicts another.
            EngineError: The engine lacks a graph that a field needs.
        """
        for option in fields(self):
            value = getattr(self, option.name)
            # True equals 1, and is refused all the same.
            if value is not option.default:
                ROWS[option.name].check(option.name, value)
        complete = replace(
            self,
            steps=check_steps(manifest, self.steps),
            schedule=_check_schedule(manifest, self.schedule),
            size=_check_size(manifest, self.extent),
        )
        complete._check_graphs(manifest)
        complete._check_reuse(manifest)
        return complete

    def _check_reuse(self, manifest: Manifest) -> None:
        """Refuse the reuse of evaluations that cannot be reused."""
        if not self.reuse:
            return
        if manifest.fixed_schedule:
            raise InputError("reuse", self.reuse, f"0, {AS_WRITTEN}")
        if not manifest.family.reuses:
            family = manifest.family.family
            raise InputError("reuse", self.reuse, f"0: {family} needs every evaluation")
        if self.refine > 1:
            raise InputError("reuse", self.reuse, "0 beside refine, which looks at each evaluation")

    def _check_graphs(self, manifest: Manifest) -> None:
        """Refuse fields whose graph the engine lacks, and policy fields of a static schedule."""
        for name, value in self.changed().items():
            graph = ROWS[name].graph
            if graph is None:
                continue
            lacks = graph not in manifest.graphs
            if lacks and manifest.fixed_schedule:
                raise InputError(name, _largest(value), f"{ROWS[name].low}, {AS_WRITTEN}")
            if self.schedule != "policy" and name != "best_of":
                expected = f"{ROWS[name].low} with a static schedule: no policy is asked"
                raise InputError(name, _largest(value), expected)
            if lacks:
                raise EngineError(
                    f"{manifest.name}: {name} needs the graph {graph!r}, which this engine lacks; "
                    f"name its weights as files.{graph} in the recipe and export again"
                )


#: The row of each field by its name.
ROWS: dict[str, Row] = {option.name: option.metadata["row"] for option in fields(SamplingParams)}


class SamplingOptions(TypedDict, total=False):
    """The fields of `SamplingParams` as keywords, and a deprecated keyword."""

    steps: int | None
    schedule: ScheduleName | None
    fidelity: float | Sequence[float]
    refine: int
    best_of: int
    reuse: float
    size: str | tuple[int, int] | None
    static: bool | Literal["tuned"]


def make_params(params: SamplingParams | None, options: Mapping[str, Any]) -> SamplingParams:
    """Join an object and keywords; a keyword wins.

    Raises:
        InputError: There is no such keyword.
    """
    if params is not None and not isinstance(params, SamplingParams):
        raise InputError("params", type(params).__name__, "SamplingParams")
    given = dict(options)
    if "static" in given:
        given.setdefault("schedule", schedule_of_static(given.pop("static")))
    for name in given.keys() - ROWS.keys():
        raise InputError(name, given[name], f"one of the options {', '.join(ROWS)}")
    return replace(params or SamplingParams(), **given)


def schedule_of_static(static: Any) -> ScheduleName | None:
    """Translate the old keyword ``static``: a flag, or ``"tuned"``.

    Raises:
        InputError: It is neither.
    """
    warnings.warn(
        "static= is deprecated; use schedule='static' or schedule='tuned'",
        DeprecationWarning,
        stacklevel=5,  # the caller of the method that has the keyword
    )
    if isinstance(static, (bool, np.bool_)):
        return "static" if static else None
    if isinstance(static, str) and static == "tuned":
        return "tuned"
    raise InputError("static", static, "True, False or 'tuned'")


def check_steps(manifest: Manifest, steps: int | None) -> int:
    """Return ``steps`` if this engine can take that many; None gives its own."""
    if steps is None:
        return manifest.schedule.steps
    number = as_integer("steps", steps, 1, MAX_STEPS)
    expected = manifest.family.check_steps(number)
    if expected is not None:
        raise InputError("steps", steps, expected)
    return number


def _check_size(manifest: Manifest, size: Extent | None) -> str | None:
    """Return the words of a size if the engine has it, and None for its own."""
    own = manifest.image.size
    other = manifest.at(size).image.size
    return None if other == own else other.words


def schedule_names(manifest: Manifest) -> tuple[ScheduleName, ...]:
    """List the schedules that an engine has."""
    if manifest.fixed_schedule:
        return tuple(name for name in SCHEDULES if name == manifest.fixed_schedule)
    tuned = manifest.schedule.tuned is not None
    there = {"static": True, "tuned": tuned, "policy": manifest.adaptive}
    return tuple(name for name in SCHEDULES if there[name])


def _check_schedule(manifest: Manifest, schedule: ScheduleName | None) -> ScheduleName:
    names = schedule_names(manifest)
    if schedule is None:
        return names[0]
    if schedule not in names and manifest.fixed_schedule:
        raise InputError("schedule", schedule, f"{names[0]}, {AS_WRITTEN}")
    if schedule not in names:
        missing = {
            "tuned": "an engine whose static schedule was searched",
            "policy": "an engine with a policy",
        }
        has = f"; {manifest.name} has {' and '.join(names)}" if schedule in missing else ""
        raise InputError("schedule", schedule, missing.get(schedule, ", ".join(names)) + has)
    return schedule


def _largest(value: Any) -> Any:
    largest = np.asarray(value).max()
    return int(largest) if math.isclose(largest, int(largest)) else float(largest)
