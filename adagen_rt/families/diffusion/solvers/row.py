"""The row of a solver."""

from __future__ import annotations

from dataclasses import dataclass

from adagen_rt.ops.solver import Update


@dataclass(frozen=True)
class Solver:
    """How the latents move from one evaluation of the network to the next.

    Attributes:
        name: As in the manifest.
        code: Its number in ``Solver`` of ``cpp_ext/ops.h``.
        evaluations: Network evaluations of one solver step.
        update: The specification of its update, a pure function over the array API.
    """

    name: str
    code: int
    evaluations: int
    update: Update
