"""Fused CPU kernels; every function writes into arrays given by the caller."""

from numpy import float32, int64
from numpy.typing import NDArray

def guided_sample(
    cond: NDArray[float32],
    null: NDArray[float32],
    guidance: NDArray[float32],
    temperature: NDArray[float32],
    confidence_temperature: NDArray[float32],
    tokens: NDArray[int64],
    mask_id: int,
    seeds: NDArray[int64] | None,
    steps: NDArray[int64] | None,
    token_gumbel: NDArray[float32] | None,
    confidence_gumbel: NDArray[float32] | None,
    sampled: NDArray[int64],
    confidence: NDArray[float32],
    threads: int,
) -> None: ...
def remask(
    sampled: NDArray[int64],
    confidence: NDArray[float32],
    mask_ratio: NDArray[float32],
    mask_id: int,
    masked: NDArray[int64],
    threads: int,
) -> None: ...
def sample_top_k_top_p(
    cond: NDArray[float32],
    null: NDArray[float32],
    guidance: NDArray[float32],
    top_k: NDArray[float32],
    top_p: NDArray[float32],
    temperature: NDArray[float32],
    seeds: NDArray[int64] | None,
    steps: NDArray[int64] | None,
    token_gumbel: NDArray[float32] | None,
    sampled: NDArray[int64],
    threads: int,
) -> None: ...
def solver_update(
    x: NDArray[float32],
    anchor: NDArray[float32],
    anchor_data: NDArray[float32],
    cond: NDArray[float32],
    null: NDArray[float32],
    guidance: NDArray[float32],
    times: NDArray[float32],
    phase: NDArray[int64],
    linear: bool,
    next: NDArray[float32],
    next_anchor: NDArray[float32],
    next_data: NDArray[float32],
    threads: int,
) -> None: ...
def normal(seeds: NDArray[int64], values: NDArray[float32], threads: int) -> None: ...
def struct_size(name: str) -> int: ...
def launch(name: str, op: bytes, threads: int) -> None: ...
