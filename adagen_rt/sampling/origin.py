"""How images were made, beside their conditions and seeds: what files say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from adagen_rt.engine.folder import EngineFolder
from adagen_rt.sampling.request import Request

Facts = dict[str, Any]
Numbers = npt.NDArray[np.int64]

#: Key of the package's version among the facts, by which they are known.
KEY = "adagen_rt"


@cache
def _version() -> str:
    """Read the package's version once, which takes longer than a step of a small policy."""
    return version("adagen-rt")


@dataclass(frozen=True, eq=False)
class Origin:
    """How the images of a result were made.

    Attributes:
        facts: What all have in common: version, engine, backend, sampling parameters.
        seeds: The seeds that were asked for (B,); best-of may have kept others.
        fidelity: Each sample's share of the fidelity policy (B,).
        numbers: Number of each image in the whole run (B,).
    """

    facts: Facts
    seeds: npt.NDArray[np.int64]
    fidelity: npt.NDArray[np.float32]
    numbers: Numbers

    @classmethod
    def of(cls, request: Request, facts: Facts) -> Origin:
        """Make that of a whole request."""
        return cls(facts, request.seeds, request.fidelity, np.arange(len(request)))

    @classmethod
    def unknown(cls, seeds: npt.NDArray[np.int64]) -> Origin:
        """Make that of images of which only the seeds are known."""
        count = len(seeds)
        return cls({KEY: _version()}, seeds, np.zeros(count, np.float32), np.arange(count))

    @classmethod
    def join(cls, parts: Sequence[Origin]) -> Origin:
        """Put the samples of several parts of a run one after the other."""
        names = ("seeds", "fidelity", "numbers")
        joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return cls(parts[0].facts, **joined)


def run_facts(engine: EngineFolder, request: Request, execution: Facts) -> Facts:
    """List what all images of a run have in common.

    Args:
        engine: The engine.
        request: The samples.
        execution: What files say of who runs the graphs, see `Execution.facts`.
    """
    params = request.params
    return {
        KEY: _version(),
        "engine": engine.manifest.name,
        "engine_hash": engine.hash,
        **execution,
        "steps": params.steps,
        "schedule": params.schedule,
        "refine": params.refine,
        "best_of": params.best_of,
        **({"reuse": params.reuse} if params.reuse else {}),
        **({} if params.size is None else {"size": params.size}),
    }
