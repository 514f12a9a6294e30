"""Requests of callers, checked before any memory is taken."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.condition import take_rows
from adagen_rt.engine.manifest import Manifest
from adagen_rt.errors import EngineError, InputError, as_integer
from adagen_rt.sampling.params import SamplingParams, make_params
from adagen_rt.types import Arrays

MAX_COUNT = 100_000
#: Largest number of samples that are generated together.
MAX_BATCH = 4096
#: Seeds are 63-bit, so that they fit a signed 64-bit integer everywhere.
SEED_LIMIT = 1 << 63

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Request:
    """Samples to make.

    Attributes:
        rows: Conditions of the samples: named arrays (B, ...).
        seeds: Seed of each sample (B,) int64.
        params: Sampling parameters, complete and checked.
        fidelity: Each sample's share of the fidelity policy (B,) float32.
        area: How many times the engine's own images these are, rounded up.
    """

    rows: Arrays
    seeds: npt.NDArray[np.int64]
    params: SamplingParams
    fidelity: npt.NDArray[np.float32]
    area: int = 1

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def steps(self) -> int:
        """Backbone evaluations."""
        assert self.params.steps is not None  # a checked object has them
        return self.params.steps

    def take(self, places: Places) -> Request:
        """Select samples."""
        return replace(
            self,
            rows=take_rows(self.rows, places),
            seeds=self.seeds[places],
            fidelity=self.fidelity[places],
        )


def make_request(
    manifest: Manifest,
    given: Sequence[Any],
    seeds: Sequence[int] | None = None,
    params: SamplingParams | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    strict: bool = False,
) -> Request:
    """Check a caller's request against an engine.

    Args:
        manifest: The engine's.
        given: Condition of each sample, as the engine's kind of condition reads it: a class
            number or name, or a prompt.
        seeds: A seed for each sample; None draws them from the system's entropy.
        params: Sampling parameters; None takes the engine's own.
        options: Fields of `SamplingParams` that win over those of ``params``.
        strict: Whether a condition that could only be used in part is refused.

    Raises:
        InputError: An argument is out of its range.
        EngineError: The engine lacks a graph that an argument needs.
    """
    noun = manifest.condition.noun
    _check_sequence(noun, given)
    count = check_count(noun, len(given))
    rows = manifest.condition.parse(given)
    if strict and (notes := manifest.condition.notes(rows)):
        raise InputError("strict", notes[0], f"{noun} that fit")
    checked = make_params(params, options or {}).check(manifest)
    chosen = _seeds(seeds, count, noun)
    shares, area = _shares(checked.fidelity, count, noun), checked.area_cost(manifest)
    return Request(rows, chosen, checked, shares, area)


def parse_scored(manifest: Manifest, images: Any, given: Sequence[Any]) -> Arrays:
    """Check images for an engine's reward model, and parse what each was conditioned on.

    Raises:
        InputError: The images are not the engine's size, or not as many as the conditions.
        EngineError: The engine has no reward model.
    """
    if "reward" not in manifest.graphs:
        raise EngineError(f"{manifest.name}: score needs the graph 'reward', which it lacks")
    _check_sequence(manifest.condition.noun, given)
    spec = manifest.image
    shape = (len(given), *spec.size, spec.channels)
    got = getattr(images, "shape", type(images).__name__), str(getattr(images, "dtype", ""))
    if got != (shape, "uint8"):
        raise InputError("images", got, f"an array {shape} uint8")
    return manifest.condition.parse(given)


def check_count(field: str, count: int) -> int:
    """Return ``count`` if it is a number of images that one call may ask for."""
    return as_integer(field, count, 1, MAX_COUNT)


def _check_sequence(field: str, value: Any) -> None:
    listed = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes))
    if not listed or np.ndim(value) == 0:
        raise InputError(field, value, "a list with an entry for each image")


def _seeds(seeds: Sequence[int] | None, count: int, noun: str) -> npt.NDArray[np.int64]:
    if seeds is None:
        return np.asarray([secrets.randbits(63) for _ in range(count)], np.int64)
    _check_sequence("seeds", seeds)
    if len(seeds) != count:
        raise InputError("seeds", f"{len(seeds)} seeds", f"one for each of {count} {noun}")
    checked = [as_integer("seeds", seed, 0, SEED_LIMIT - 1) for seed in seeds]
    return np.asarray(checked, np.int64)


def _shares(fidelity: float | Sequence[float], count: int, noun: str) -> npt.NDArray[np.float32]:
    """Return each sample's share of the fidelity policy (count,)."""
    values = np.asarray(fidelity, np.float32)
    if values.shape not in ((), (count,)):
        expected = f"a number from 0 to 1, or one for each of {count} {noun}"
        raise InputError("fidelity", f"{len(values)} values", expected)
    return np.broadcast_to(values, (count,))
