"""Every kernel on a device against the specification, over dtypes and extreme parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from adagen_rt.cuda import Driver, Launch
from adagen_rt.engine.schedule import ActionSpec
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.families.diffusion.solvers import SOLVERS, Solver
from adagen_rt.families.diffusion.spec import TIME_MARGIN
from adagen_rt.ops import Philox, launches, reference, structs
from adagen_rt.ops.solver import GUIDED_CHANNELS, PROCESSES, Kind

#: Batch, tokens, vocabulary: odd sizes, and the published ones.
SHAPES = ((3, 5, 3), (2, 7, 1001), (2, 64, 1024), (4, 16, 4096))
#: Largest share of tokens that rounding may draw differently, and error of a number.
TOKENS, NUMBERS = 0.01, 2e-4
ZERO = structs.Failures(None, None)


@dataclass
class Board:
    """Arrays on a device: put there, and read back after a launch."""

    driver: Driver
    stream: int

    def put(self, array: Any) -> int:
        """Address of a copy."""
        source = np.ascontiguousarray(array)
        address = self.driver.allocate(source.nbytes)
        self.driver.upload(address, source, self.stream)
        self.driver.synchronize(self.stream)
        return address

    def run(self, launch: Launch) -> None:
        """Launch and wait."""
        self.driver.launch(launch, self.stream)
        self.driver.synchronize(self.stream)

    def get(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Read back."""
        array = np.empty(shape, dtype)
        self.driver.download(array, address, self.stream)
        self.driver.synchronize(self.stream)
        return array


@dataclass(frozen=True)
class Check:
    """One comparison: ``run`` gives the difference, which may be up to ``limit``."""

    name: str
    run: Callable[[Board], float]
    limit: float


def checks(quick: bool) -> Iterator[Check]:
    """All comparisons; with ``quick`` only the smallest two shapes."""
    for shape in SHAPES[: 2 if quick else None]:
        for dtype in structs.DTYPES:
            label = f"{'x'.join(map(str, shape))} {dtype}"
            for op in (guided_sample, sample_top_k_top_p):
                yield Check(
                    f"{op.__name__} {label}", lambda b, o=op, s=shape, d=dtype: o(b, s, d), TOKENS
                )
    for process, solver in product(structs.PROCESSES, SOLVERS.values()):
        for dtype in structs.DTYPES:
            yield Check(
                f"solver_update {solver.name} {process} {dtype}",
                lambda b, s=solver, p=process, d=dtype: solver_update(b, s, p, d),
                NUMBERS,
            )
        yield Check(
            f"solver_times {solver.name} {process}",
            lambda b, s=solver, p=process: solver_times(b, s, p),
            1e-6,
        )
    for op, limit in ((remask, 0.0), (normal, 1e-4), (schedule, 1e-5), (pixels, 1.0)):
        yield Check(op.__name__, op, limit)


def stored(values: Any, dtype: str) -> tuple[Any, Any]:
    """Float32 numbers as a device stores them, and the numbers that are stored."""
    if dtype == "bfloat16":
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32)
    kept = values.astype(dtype)
    return kept, kept.astype(np.float32)


def _logits(board: Board, rng: Any, shape: tuple[int, int, int], dtype: str) -> Any:
    """The struct, and the numbers that it points to."""
    pair = [stored(rng.normal(0, 3, shape).astype(np.float32), dtype) for _ in range(2)]
    guidance = np.linspace(0, 10, shape[0]).astype(np.float32)
    addresses = [board.put(bits) for bits, _ in pair]
    struct = structs.Logits(
        *addresses, board.put(guidance), 1.0, structs.DTYPES[dtype], *shape
    )  # fmt: skip
    return struct, pair[0][1], pair[1][1], guidance


def _noise(board: Board, batch: int) -> tuple[Any, Philox]:
    noise = Philox(2**63 - 1 - np.arange(batch), np.arange(batch) * 7)
    return structs.BatchNoise(board.put(noise.seeds), board.put(noise.steps), None, None), noise


def guided_sample(board: Board, shape: tuple[int, int, int], dtype: str) -> float:
    """Share of tokens that differ; a confidence off by more counts as a token."""
    rng, batch = np.random.default_rng(1), shape[0]
    logits, cond, null, guidance = _logits(board, rng, shape, dtype)
    struct, noise = _noise(board, batch)
    temperature = np.resize(np.array([1.0, 0.0, 50.0], np.float32), batch)
    disturbance = np.resize(np.array([4.0, 0.0], np.float32), batch)
    tokens = np.where(rng.random(shape[:2]) < 0.7, shape[2], 1)
    sampled, confidence = (board.put(np.zeros(shape[:2], t)) for t in (np.int64, np.float32))
    put = [board.put(array) for array in (temperature, disturbance, tokens)]
    op = structs.GuidedSample(logits, *put, shape[2], struct, sampled, confidence, ZERO)
    board.run(launches.guided_sample(op))
    wanted, sure = reference.guided_sample(
        cond, null, guidance, temperature, disturbance, tokens, shape[2], noise
    )
    got = board.get(sampled, shape[:2], np.int64)
    close = np.isclose(board.get(confidence, shape[:2], np.float32), sure, rtol=1e-4, atol=1e-3)
    return float(np.mean((got != wanted) | ~close))


def sample_top_k_top_p(board: Board, shape: tuple[int, int, int], dtype: str) -> float:
    """Share of tokens that differ."""
    rng, batch = np.random.default_rng(2), shape[0]
    logits, cond, null, guidance = _logits(board, rng, shape, dtype)
    struct, noise = _noise(board, batch)
    top_k = np.resize(np.array([0.5 * shape[2], -1, 1, 2.0 * shape[2]], np.float32), batch)
    top_p = np.resize(np.array([0.9, 1.0, 0.0], np.float32), batch)
    temperature = np.resize(np.array([1.0, 0.5, 0.0], np.float32), batch)
    put = [board.put(array) for array in (top_k, top_p, temperature)]
    sampled = board.put(np.zeros(shape[:2], np.int64))
    op = structs.SampleTopKTopP(logits, *put, struct, sampled, ZERO)
    board.run(launches.sample_top_k_top_p(op))
    wanted = reference.sample_top_k_top_p(cond, null, guidance, top_k, top_p, temperature, noise)
    return float(np.mean(board.get(sampled, shape[:2], np.int64) != wanted))


def remask(board: Board) -> float:
    """Tokens that differ, and whether the second copy does."""
    rng, shape, mask = np.random.default_rng(3), (4, 256), 1024
    sampled, confidence = rng.integers(0, mask, shape), rng.normal(size=shape).astype(np.float32)
    ratio = np.array([0.0, 0.3, 1.0, np.nan], np.float32)
    put = [board.put(array) for array in (sampled, confidence, ratio)]
    masked, remaining = board.put(np.zeros((2, *shape), np.int64)), board.put(np.zeros(4, np.int64))
    board.run(launches.remask(structs.Remask(*put, mask, *shape, 2, masked, remaining)))
    wanted = reference.remask(sampled, confidence, ratio, mask)
    left = board.get(remaining, (4,), np.int64) != (wanted == mask).sum(1)
    return float((board.get(masked, (2, *shape), np.int64) != wanted).sum() + left.sum())


def solver_update(board: Board, solver: Solver, process: Kind, dtype: str) -> float:
    """Largest difference of the next latents, relative to their largest."""
    rng, shape = np.random.default_rng(4), (4, 4, 32, 32)
    x, anchor, data = (rng.normal(size=shape).astype(np.float32) for _ in range(3))
    pair = [stored(rng.normal(size=shape).astype(np.float32), dtype) for _ in range(2)]
    guidance = np.array([0, 1, 4, 10], np.float32)
    phase = np.arange(4) % (solver.evaluations + solver.multistep)
    times = np.array([[0.02, 0.5, 0.99], [0.3, 0.31, 0.32]] * 2, np.float32)
    times = times if process == "linear" else times[:, ::-1].copy()
    arrays = (x, anchor, data, pair[0][0], pair[1][0], guidance, times, phase)
    put = [board.put(array) for array in arrays]
    law, guided = PROCESSES[process], GUIDED_CHANNELS
    codes = (structs.PROCESSES[process], solver.code, structs.DTYPES[dtype], guided)
    codes = (*codes, structs.log_alpha(law))
    written = [board.put(np.zeros(shape, np.float32)) for _ in range(3)]
    op = structs.SolverUpdate(*put, *codes, 4, 4, 32 * 32, 1, *written, ZERO)
    board.run(launches.solver_update(op))
    wanted = reference.solver_update(
        x, anchor, data, pair[0][1], pair[1][1], guidance, times, phase, law, solver
    )
    got = [board.get(address, shape, np.float32) for address in written]
    errors = [np.abs(g - w).max() / np.abs(w).max() for g, w in zip(got, wanted, strict=True)]
    return float(np.max(errors))


def solver_times(board: Board, solver: Solver, process: str) -> float:
    """Largest difference of the next times, where the choice would go back for one sample."""
    time, chosen = np.array([0.5, 0.5, 0.5], np.float32), np.array([0.2, 0.8, 0.5], np.float32)
    written = [board.put(np.zeros(size)) for size in (3, 9, 3)]
    at = board.put(time)
    op = structs.SolverTimes(
        board.put(chosen), board.put(np.zeros(3, np.int64)), structs.PROCESSES[process], 0,
        solver.multistep, TIME_MARGIN, 3, 1, solver.evaluations, at, *written,
    )  # fmt: skip
    board.run(launches.solver_times(op))
    down, up = np.minimum(chosen, time - TIME_MARGIN), np.maximum(chosen, time + TIME_MARGIN)
    wanted = down if process == "vp" else up
    return float(np.abs(board.get(at, (3,), np.float32) - wanted).max())


def normal(board: Board) -> float:
    """Largest difference."""
    seeds, shape = np.array([0, 1, 2**63 - 1]), (4, 31, 33)
    count = int(np.prod(shape))
    values = board.put(np.zeros((3, count), np.float32))
    board.run(launches.normal(structs.Normal(board.put(seeds), 3, count, 1, values)))
    got = board.get(values, (3, *shape), np.float32)
    return float(np.abs(got - reference.normal(seeds, shape)).max())


def schedule(board: Board) -> float:
    """Largest difference of one call's values, for raw outputs that nearly overflow.

    The second policy's would, for the sample that does not follow it.
    """
    raw = np.array([[-90, 90], [0, 0], [3, -3]], np.float32)
    second, share = np.array([[np.inf, np.nan], [1, 2], [5, 7]], np.float32), floats(0, 0.25, 1)
    actions = [
        ActionSpec(name="a", activation=kind, static=Constant(value=1), scale=scale)
        for kind, scale in (("sigmoid", 2.0), ("softplus", 1.0))
    ]
    zeros = [board.put(np.zeros(size)) for size in (3, 3, 3, 6, 6, 6, 3)]
    *counters, smoothed, values, trace, failed = zeros
    residual = np.zeros((1, 2), np.float32)
    put = [board.put(array) for array in (raw, second, share, residual, floats(2, 0))]
    failures = structs.Failures(failed, counters[1])
    op = structs.Schedule(
        *put, 0.5, 0.5, -1, 0, 0.0, 3, 2, 1, 0, 1,
        *counters, smoothed, values, trace, None, failures,
    )  # fmt: skip
    board.run(launches.schedule(op))
    raw[1:] += share[1:, None] * (second - raw)[1:]
    wanted = np.stack([a.activate(raw[:, i]) for i, a in enumerate(actions)])
    return float(np.abs(board.get(values, (2, 3), np.float32) - wanted).max())


def pixels(board: Board) -> float:
    """Largest difference in bytes; a failed sample is black."""
    image = np.linspace(-2, 2, 2 * 3 * 64).astype(np.float32).reshape(2, 3, 64)
    image[0, 0, 0] = np.nan
    out = board.put(np.full((2, 64, 3), 7, np.uint8))
    put = [board.put(image), board.put(np.array([0, 1]))]
    op = structs.Pixels(put[0], 0, -1.0, 127.5, 2, 3, 64, put[1], out)
    board.run(launches.pixels(op))
    wanted = np.rint(np.clip(np.nan_to_num((image + 1) * 127.5), 0, 255)).swapaxes(1, 2)
    wanted[1] = 0
    return float(np.abs(board.get(out, (2, 64, 3), np.uint8) - wanted).max())


def floats(*values: float) -> Any:
    """A float32 array."""
    return np.asarray(values, np.float32)
