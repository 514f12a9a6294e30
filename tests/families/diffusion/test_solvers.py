"""Every row of the solver table: its formula and its order."""

from itertools import pairwise

import numpy as np
import pytest

from adagen_rt.families.diffusion.solvers import DEFAULT_SOLVER, SOLVERS
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.ops.solver import PROCESSES, scales

EVERY = pytest.mark.parametrize("name", SOLVERS)
OPS = pytest.mark.parametrize("ops", [ReferenceOps(), CpuOps()], ids=["reference", "cpu"])


def test_rows_are_told_apart_by_name_and_code():
    assert all(row.name == name for name, row in SOLVERS.items())
    assert [row.code for row in SOLVERS.values()] == list(range(len(SOLVERS)))
    assert SOLVERS[DEFAULT_SOLVER].code == 0


def random_step(seed, dtype, process):
    """Return latents, a prediction and times that go the process's way."""
    rng = np.random.default_rng(seed)
    x, prediction = rng.normal(size=(2, 8, 4, 3, 3)).astype(dtype)
    times = np.sort(rng.uniform(0.01, 0.99, (8, 3)).astype(dtype), axis=1)
    return x, prediction, times if process == "linear" else np.ascontiguousarray(times[:, ::-1])


def euler(ops, x, prediction, times, process):
    """Return the latents after one step without guidance."""
    zeros, phase = np.zeros(len(x), x.dtype), np.zeros(len(x), np.int64)
    predictions = (prediction, prediction)
    row = SOLVERS["euler"]
    return ops.solver_update(x, x, x, *predictions, zeros, times, phase, PROCESSES[process], row)


@OPS
@pytest.mark.parametrize("seed", range(5))
def test_euler_in_the_linear_process_moves_along_the_velocity(ops, seed):
    x, v, times = random_step(seed, np.float32, "linear")
    s, t = (times[:, i, None, None, None].astype(np.float64) for i in (0, 2))
    moved, anchor, data = euler(ops, x, v, times, "linear")
    np.testing.assert_allclose(moved, x + (t - s) * v, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(anchor, x)
    np.testing.assert_allclose(data, x + (1 - s) * v, rtol=0, atol=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_euler_in_the_variance_preserving_process_is_ddim(seed):
    x, noise, times = random_step(seed, np.float64, "vp")
    (alpha_s, sigma_s), (alpha_t, sigma_t) = (
        scales(times[:, i, None, None, None], PROCESSES["vp"]) for i in (0, 2)
    )
    data = (x - sigma_s * noise) / alpha_s
    expected = alpha_t * data + sigma_t * noise
    moved, _, predicted = euler(ReferenceOps(), x, noise, times, "vp")
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-12 * np.abs(data).max())
    np.testing.assert_allclose(predicted, data, rtol=1e-12)


def deviation(time, process):
    """Return that of latents whose data have a standard deviation of 0.5."""
    alpha, sigma = scales(time, PROCESSES[process])
    return np.sqrt((0.5 * alpha) ** 2 + sigma**2)


def prediction(x, time, process):
    """Return the best prediction for Gaussian data: linear in x."""
    alpha, sigma = scales(time, PROCESSES[process])
    data = 0.25 * alpha / deviation(time, process) ** 2 * x
    noise = (x - alpha * data) / sigma
    return noise if process == "vp" else data - noise


def solved(row, process, steps):
    """Return the latents at the end of the whole way in float64, and the exact ones."""
    ends = (0.9, 0.1) if process == "vp" else (0.1, 0.9)
    x = anchor = data = np.ones((1, 1, 1, 1))
    before = ends[0]
    for number, (s, t) in enumerate(pairwise(np.linspace(*ends, steps + 1))):
        times = np.asarray([[s, before if row.multistep else (s + t) / 2, t]])
        before = s
        phases = [min(number, 1)] if row.multistep else range(row.evaluations)
        for phase in phases:
            time = s if row.multistep else times[0, phase]
            given = prediction(x, time, process)
            rest = (np.zeros(1), times, np.asarray([phase]), PROCESSES[process], row)
            x, anchor, data = ReferenceOps().solver_update(x, anchor, data, given, given, *rest)
    start, end = (deviation(np.asarray(time), process) for time in ends)
    return x.item(), end / start


@EVERY
@pytest.mark.parametrize("process", ["vp", "linear"])
def test_convergence_order(name, process):
    row = SOLVERS[name]
    errors = []
    for steps in (256, 512, 1024) if row.multistep else (16, 32, 64):
        x, expected = solved(row, process, steps)
        errors.append(abs(x - expected))
    orders = np.log2(np.divide(errors[:-1], errors[1:]))
    np.testing.assert_allclose(orders, row.order, atol=0.25)
