"""What a caller asks for, checked before any memory is taken."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.errors import InputError
from adagen_rt.manifest import Manifest

MAX_COUNT = 100_000
MAX_STEPS = 1000
#: Seeds are 63-bit, so that they fit a signed 64-bit integer everywhere.
SEED_LIMIT = 1 << 63


@dataclass(frozen=True)
class Request:
    """Samples to make.

    Attributes:
        labels: Class of each sample (B,) int64.
        seeds: Seed of each sample (B,) int64.
        steps: Backbone evaluations.
    """

    labels: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    steps: int

    def __len__(self) -> int:
        return len(self.labels)


def make_request(
    manifest: Manifest,
    labels: Sequence[int | str],
    seeds: Sequence[int] | None,
    steps: int | None,
) -> Request:
    """Check a caller's arguments against an engine.

    Args:
        manifest: The engine's.
        labels: A class number or name for each sample.
        seeds: A seed for each sample; None draws them from the system's entropy.
        steps: Backbone evaluations; None takes the engine's own.

    Raises:
        InputError: An argument is out of its range.
    """
    check_count("labels", len(labels))
    if seeds is not None and len(seeds) != len(labels):
        raise InputError("seeds", f"{len(seeds)} seeds", f"one for each of {len(labels)} labels")
    numbers = [label_number(manifest, label) for label in labels]
    if seeds is None:
        checked = [secrets.randbits(63) for _ in labels]
    else:
        checked = [as_integer("seeds", seed, 0, SEED_LIMIT - 1) for seed in seeds]
    return Request(
        np.asarray(numbers, np.int64), np.asarray(checked, np.int64), check_steps(manifest, steps)
    )


def label_number(manifest: Manifest, label: int | str) -> int:
    """Number of a class given by number or name."""
    if not isinstance(label, str):
        return as_integer("label", label, 0, manifest.class_count - 1)
    names = [name.casefold() for name in manifest.class_names]
    if label.casefold() in names:
        return names.index(label.casefold())
    if label.isdecimal():
        return as_integer("label", int(label), 0, manifest.class_count - 1)
    known = ", ".join(manifest.class_names) or "this engine's classes have no names"
    raise InputError("label", label, f"0 to {manifest.class_count - 1} or a name: {known}")


def check_count(field: str, count: int) -> int:
    """``count`` if it is a number of images that one call may ask for."""
    return as_integer(field, count, 1, MAX_COUNT)


def check_steps(manifest: Manifest, steps: int | None) -> int:
    """``steps`` if this engine can take that many; None gives its own."""
    own = manifest.schedule.steps
    if steps is None:
        return own
    family = manifest.family.family
    if family == "var" and steps != own:
        raise InputError("steps", steps, f"{own}: one for each scale of this engine")
    as_integer("steps", steps, 1, MAX_STEPS)
    if family in ("dit", "sit") and steps % 2:
        raise InputError("steps", steps, "an even number: the solver takes two evaluations a step")
    return steps


def as_integer(field: str, value: Any, low: int, high: int) -> int:
    """``value`` as an int if it is one between ``low`` and ``high``."""
    expected = f"an integer from {low} to {high}"
    if isinstance(value, (bool, np.bool_)):
        raise InputError(field, value, expected)
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(field, value, expected) from None
    if not low <= number <= high:
        raise InputError(field, number, expected)
    return number
