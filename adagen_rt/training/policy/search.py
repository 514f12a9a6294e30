"""Random search of a hand-made schedule's few parameters: the baseline of a learnt schedule.

A candidate is the engine's own static schedule with other numbers in it. Every candidate is
drawn from a generator keyed by (seed, number), so that a search can resume.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from adagen_rt.engine.schedule import STOP, ActionSpec, ScheduleSpec
from adagen_rt.engine.solver_times import Shifted, Spaced
from adagen_rt.engine.static_schedules import Constant, Cosine, Decay, Linear, Ramp, StaticSchedule
from adagen_rt.errors import InputError
from adagen_rt.evaluation.judge import Judge
from adagen_rt.progress import bar
from adagen_rt.training.log import CsvLog
from adagen_rt.training.policy.environment import Environment

FIELDS = ("candidate", "fid", "accuracy", "schedule")
#: Candidates differ from the hand-made numbers by up to this many octaves, or, where a value
#: has an upper bound, by up to this much before the sigmoid.
REACH = 2.0

Statics = tuple[StaticSchedule, ...]
_STATICS: TypeAdapter[Statics] = TypeAdapter(Statics)


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search.

    Attributes:
        candidates: Schedules to try; the first is the hand-made one.
        images: Images under each candidate, equally many of every class.
        batch_size: Images that are generated together.
        seed: Seed of the candidates.
    """

    candidates: int = 100
    images: int = 1000
    batch_size: int = 250
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("candidates", 1), ("images", 2), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise InputError(name, getattr(self, name), f"at least {least}")


def draw_candidate(spec: ScheduleSpec, seed: int, number: int) -> Statics:
    """Draw a static schedule for every action: the spec's own for number 0, else one near it."""
    if number == 0:
        return tuple(action.static for action in spec.actions)
    rng = np.random.default_rng((seed, number))
    return tuple(_perturb(action, rng) for action in spec.actions)


def _perturb(action: ActionSpec, rng: np.random.Generator) -> StaticSchedule:
    def near(value: float) -> float:
        if action.activation == "softplus":
            return float(value * 2.0 ** rng.uniform(-REACH, REACH))
        moved = action.inverse(np.array(value)) + rng.uniform(-REACH, REACH)
        return float(action.activate(moved))

    static = action.static
    if action.name == STOP:  # a static schedule never stops
        return static
    match static:
        case Constant():
            return Constant(value=near(static.value))
        case Linear():
            return Linear(start=near(static.start), stop=near(static.stop))
        case Decay() | Ramp():
            return static.model_copy(
                update={"scale": static.scale * 2.0 ** rng.uniform(-REACH, REACH)}
            )
        case Shifted():
            return static.model_copy(
                update={"shift": static.shift * 2.0 ** rng.uniform(-REACH, REACH)}
            )
        case Cosine() | Spaced():
            return static


def search(
    environment: Environment, judge: Judge, config: SearchConfig, folder: Path, resume: bool = False
) -> Statics:
    """Try all candidates on the same samples; the smallest FID wins.

    Args:
        environment: The frozen generator.
        judge: Scores the images.
        config: Settings of the search.
        folder: Folder for `search.csv`, a line per candidate.
        resume: Whether the lines of an earlier search count.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "search.csv"
    found = _read(path) if resume else {}
    with CsvLog(path, FIELDS, keep_until=max(found, default=0) if found else 0) as log:
        progress = bar(range(1, config.candidates + 1), unit="schedule", mininterval=5.0)
        for number in progress:
            if number not in found:
                found[number] = _try(environment, judge, config, number, log)
            best = min(found.values(), key=lambda entry: entry[0])
            progress.set_postfix(fid=f"{best[0]:.3f}", refresh=False)
    return best[1]


def _try(
    environment: Environment, judge: Judge, config: SearchConfig, number: int, log: CsvLog
) -> tuple[float, Statics]:
    statics = draw_candidate(environment.manifest.schedule, config.seed, number - 1)
    samples = environment.turns(config.images)
    images = environment.under(statics).static_images(samples, config.batch_size)
    labels = environment.parse(samples).get("labels")
    seen = judge.see(images, None if labels is None else labels.numpy())
    fid, accuracy = judge.quick_score(seen)
    # A schedule whose FID is not finite cannot win.
    fid = fid if np.isfinite(fid) else float("inf")
    text = _STATICS.dump_json(statics).decode()
    log.write({"candidate": number, "fid": fid, "accuracy": accuracy, "schedule": text})
    return fid, statics


def _read(path: Path) -> dict[int, tuple[float, Statics]]:
    """Read the complete lines of an earlier search."""
    if not path.is_file():
        return {}
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                statics = _STATICS.validate_python(json.loads(row["schedule"]))
                found[int(row["candidate"])] = float(row["fid"]), statics
            except (ValueError, TypeError):
                continue  # cut off in the middle
    return found
