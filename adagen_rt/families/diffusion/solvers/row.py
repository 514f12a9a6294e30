"""The row of a solver."""

from __future__ import annotations

from dataclasses import dataclass

from adagen_rt.ops.solver import Update


@dataclass(frozen=True)
class Solver:
    """A solver, which moves the latents from one evaluation of the network to the next.

    Attributes:
        name: Name in the manifest.
        code: Number in ``Solver`` of ``cpp_ext/ops.h``.
        evaluations: Network evaluations of one solver step.
        update: Specification of the update, a pure function over the array API.
    """

    name: str
    code: int
    evaluations: int
    update: Update
