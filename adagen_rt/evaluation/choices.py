"""How images that are to be scored are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.schedule import Constant, Cosine, Linear, ScheduleSpec, StaticSchedule
from adagen_rt.errors import InputError

ScheduleName = Literal["policy", "static", "tuned"]


@dataclass(frozen=True)
class Choice:
    """What a user may choose, and one thing more: `guidance`.

    Attributes:
        schedule: Which of the generator's schedules.
        steps: Backbone evaluations; None for the generator's own.
        fidelity: Share of the fidelity policy.
        refine: Actions tried at every policy call.
        guidance: What the hand-made schedule's guidance is multiplied by.
    """

    schedule: ScheduleName = "policy"
    steps: int | None = None
    fidelity: float = 0.0
    refine: int = 1
    guidance: float = 1.0


def schedule_names(manifest: Manifest, adaptive: bool) -> tuple[ScheduleName, ...]:
    """The schedules of a generator; `adaptive` says whether it has a policy."""
    names: tuple[ScheduleName, ...] = ("static",)
    names += ("tuned",) if manifest.schedule.tuned is not None else ()
    return (*names, "policy") if adaptive else names


def guided(manifest: Manifest, factor: float) -> Manifest:
    """The same, but for the hand-made schedule's guidance: it is `factor` times as strong.

    Raises:
        InputError: That guidance has no number that could be multiplied.
    """
    if factor == 1:
        return manifest
    spec = manifest.schedule
    statics = [
        _scaled(action.static, factor) if action.name == "guidance_scale" else action.static
        for action in spec.actions
    ]
    return rescheduled(manifest, spec.under(statics))


def rescheduled(manifest: Manifest, spec: ScheduleSpec) -> Manifest:
    """The same under another schedule."""
    return manifest.model_copy(update={"schedule": spec})


def _scaled(static: StaticSchedule, factor: float) -> StaticSchedule:
    match static:
        case Constant():
            return Constant(value=static.value * factor)
        case Linear():
            return Linear(start=static.start * factor, stop=static.stop * factor)
        case Cosine():
            raise InputError("guidance", factor, "1: a cosine's height cannot be changed")
        case _:
            return static.model_copy(update={"scale": static.scale * factor})
