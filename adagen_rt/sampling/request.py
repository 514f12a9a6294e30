"""What a caller asks for, checked before any memory is taken."""

from __future__ import annotations

import operator
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import EngineError, InputError

MAX_COUNT = 100_000
MAX_STEPS = 1000
#: Samples that are generated together.
MAX_BATCH = 4096
#: Candidates of one sample, at a step or in all.
MAX_CANDIDATES = 64
#: Seeds are 63-bit, so that they fit a signed 64-bit integer everywhere.
SEED_LIMIT = 1 << 63

Static = bool | Literal["tuned"]


@dataclass(frozen=True)
class Request:
    """Samples to make.

    Attributes:
        labels: Class of each sample (B,) int64.
        seeds: Seed of each sample (B,) int64.
        steps: Backbone evaluations.
        fidelity: How far each sample follows the fidelity policy (B,) float32.
        refine: Actions tried at every policy call.
        best_of: Images made of each sample, of which one is kept.
    """

    labels: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]
    steps: int
    fidelity: npt.NDArray[np.float32]
    refine: int = 1
    best_of: int = 1

    def __len__(self) -> int:
        return len(self.labels)


def make_request(
    manifest: Manifest,
    labels: Sequence[int | str],
    seeds: Sequence[int] | None,
    steps: int | None,
    *,
    static: Static = False,
    fidelity: float | Sequence[float] = 0.0,
    refine: int = 1,
    best_of: int = 1,
) -> Request:
    """Check a caller's arguments against an engine.

    Args:
        manifest: The engine's.
        labels: A class number or name for each sample.
        seeds: A seed for each sample; None draws them from the system's entropy.
        steps: Backbone evaluations; None takes the engine's own.
        static: Whether the policy is not asked.
        fidelity: From 0 to 1, for all samples or one for each.
        refine: Actions tried at every policy call.
        best_of: Images made of each sample.

    Raises:
        InputError: An argument is out of its range.
        EngineError: The engine lacks a graph that an argument needs.
    """
    check_count("labels", len(labels))
    if seeds is not None and len(seeds) != len(labels):
        raise InputError("seeds", f"{len(seeds)} seeds", f"one for each of {len(labels)} labels")
    numbers = [label_number(manifest, label) for label in labels]
    if seeds is None:
        checked = [secrets.randbits(63) for _ in labels]
    else:
        checked = [as_integer("seeds", seed, 0, SEED_LIMIT - 1) for seed in seeds]
    shares = check_fidelity(fidelity, len(labels))
    request = Request(
        np.asarray(numbers, np.int64),
        np.asarray(checked, np.int64),
        check_steps(manifest, steps),
        shares,
        as_integer("refine", refine, 1, MAX_CANDIDATES),
        as_integer("best_of", best_of, 1, MAX_CANDIDATES),
    )
    _check_graphs(manifest, request, static)
    return request


def check_fidelity(fidelity: float | Sequence[float], count: int) -> npt.NDArray[np.float32]:
    """How far each of ``count`` samples follows the fidelity policy (count,), from 0 to 1."""
    expected = f"a number from 0 to 1, or one for each of {count} labels"
    try:
        values = np.asarray(fidelity)
    except ValueError:  # sequences of several lengths
        raise InputError("fidelity", fidelity, expected) from None
    if values.dtype.kind not in "iuf" or values.shape not in ((), (count,)):
        got = f"{len(values)} values" if values.shape else fidelity
        raise InputError("fidelity", got, expected)
    inside = (values >= 0) & (values <= 1)
    if not inside.all():
        raise InputError("fidelity", float(values[~inside].ravel()[0]), expected)
    return np.broadcast_to(values.astype(np.float32), (count,))


def _check_graphs(manifest: Manifest, request: Request, static: Static) -> None:
    """Refuse what this engine has no graph for, and what would change a schedule as it is."""
    asked = {
        "fidelity": (float(request.fidelity.max()), "fidelity_policy", request.fidelity.any()),
        "refine": (request.refine, "critic", request.refine > 1),
        "best_of": (request.best_of, "reward", request.best_of > 1),
    }
    for field, (value, graph, wanted) in asked.items():
        if wanted and static and field != "best_of":
            least = 0 if field == "fidelity" else 1
            raise InputError(field, value, f"{least} with a static schedule: no policy is asked")
        if wanted and graph not in manifest.graphs:
            raise EngineError(
                f"{manifest.name}: {field} needs the graph {graph!r}, which this engine lacks; "
                f"name its weights as files.{graph} in the recipe and export again"
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
