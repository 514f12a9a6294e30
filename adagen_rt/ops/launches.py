"""Launch sizes of the kernels: the grid, the block and the shared memory of each.

The numbers here follow the comments at the head of the ``.cu`` files.
"""

from __future__ import annotations

import ctypes

from adagen_rt.cuda.driver import Launch
from adagen_rt.cuda.kernels import SHARED_LIMIT
from adagen_rt.errors import EngineError
from adagen_rt.ops import structs

#: ``kTeamThreads`` of cpp_ext/device_team.cuh.
TEAM_THREADS = 256
#: ``kRaceBlock`` of cpp_ext/team.h.
RACE_BLOCK = 64
#: Threads of a block where the kernel leaves it open.
THREADS = 256
_FLOAT = 4


def padded_size(vocabulary: int) -> int:
    """``padded_size`` of cpp_ext/row.h."""
    return (vocabulary + 3 + RACE_BLOCK - 1) // RACE_BLOCK * RACE_BLOCK


def guided_sample(op: structs.GuidedSample) -> Launch:
    """One block a token."""
    rows = op.logits.batch * op.logits.tokens
    shared = padded_size(op.logits.vocabulary) * _FLOAT
    return _launch("guided_sample", op, (rows, 1), TEAM_THREADS, shared)


def remask(op: structs.Remask) -> Launch:
    """One block a sample."""
    return _launch("remask", op, (op.batch, 1), TEAM_THREADS, op.tokens * _FLOAT)


def sample_top_k_top_p(op: structs.SampleTopKTopP) -> Launch:
    """One block a token."""
    rows = op.logits.batch * op.logits.tokens
    shared = 2 * padded_size(op.logits.vocabulary) * _FLOAT
    return _launch("sample_top_k_top_p", op, (rows, 1), TEAM_THREADS, shared)


def solver_update(op: structs.SolverUpdate) -> Launch:
    """One block a channel."""
    return _launch("solver_update", op, (op.channels, op.batch))


def normal(op: structs.Normal) -> Launch:
    """One thread for four values."""
    return _launch("normal", op, (_blocks((op.count + 3) // 4), op.batch))


def schedule(op: structs.Schedule) -> Launch:
    """One thread a sample."""
    return _launch("schedule", op, (_blocks(op.batch), 1))


def solver_times(op: structs.SolverTimes) -> Launch:
    """One thread a sample."""
    return _launch("solver_times", op, (_blocks(op.batch), 1))


def pixels(op: structs.Pixels) -> Launch:
    """One thread a byte."""
    return _launch("pixels", op, (_blocks(op.batch * op.channels * op.pixels), 1))


def _blocks(threads: int) -> int:
    return max(1, -(-threads // THREADS))


def _launch(
    name: str,
    op: ctypes.Structure,
    grid: tuple[int, int],
    threads: int = THREADS,
    shared: int = 0,
) -> Launch:
    if shared > SHARED_LIMIT:
        raise EngineError(
            f"{name}: a vocabulary or map this large takes {shared} bytes of a block's shared "
            f"memory, expected at most {SHARED_LIMIT}"
        )
    return Launch(name, grid, threads, shared, bytes(op))
