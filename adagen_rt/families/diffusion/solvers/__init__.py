"""The solvers that a manifest may name, with a row for each.

A new one is a file here with its row, and a value of ``Solver`` in ``cpp_ext/ops.h`` with its
case in ``step_of`` of ``cpp_ext/solver_update.h``.
"""

from __future__ import annotations

from adagen_rt.families.diffusion.solvers.dpmpp_2m import DPMPP_2M
from adagen_rt.families.diffusion.solvers.dpmpp_2s import DPMPP_2S
from adagen_rt.families.diffusion.solvers.euler import EULER
from adagen_rt.ops.solver import Solver

__all__ = ["DEFAULT_SOLVER", "SOLVERS", "Solver"]

#: Rows of the solvers, by the names that manifests use.
SOLVERS: dict[str, Solver] = {row.name: row for row in (DPMPP_2S, EULER, DPMPP_2M)}
#: Solver of a manifest that names none.
DEFAULT_SOLVER = DPMPP_2S.name
