"""What every solver does, and that the kernel does it, too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adagen_rt import _kernels
from adagen_rt.families.diffusion.solvers import SOLVERS
from adagen_rt.ops import structs
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.ops.solver import GUIDED_CHANNELS, PROCESSES, Process
from ops.cases import TOLERANCE, floats, solver_case

KINDS = pytest.mark.parametrize("process", ["vp", "linear"])
EVERY = pytest.mark.parametrize("solver", SOLVERS)
REFERENCE = ReferenceOps()


@pytest.fixture(params=[REFERENCE, CpuOps(threads=2)], ids=["reference", "cpu"])
def ops(request):
    return request.param


@EVERY
@KINDS
@pytest.mark.parametrize(
    "times",
    [
        [0, 0, 0],
        [1e-38, 0.5, 1],
        [1, 1, 1],
        [1, 0.5, 0],
        [0, 0.5, 1],
        [0.5, 0.5, 0.5],
        [0.3, 0.9, 0.1],
    ],
)
def test_solver_stays_finite_at_any_times(ops, process, times, solver):
    case = solver_case(process, solver=solver)
    case["times"] = np.tile(floats(*times), (4, 1))
    assert all(np.isfinite(result).all() for result in ops.solver_update(**case))


@EVERY
def test_solver_phase_0_does_not_read_the_anchor(ops, solver):
    case = solver_case("vp", solver=solver)
    starts = case["phase"] == 0
    case["anchor"][starts] = case["anchor_data"][starts] = np.nan
    x, anchor, data = ops.solver_update(**case)
    assert np.isfinite(x).all()
    assert np.array_equal(anchor[starts], case["x"][starts])
    assert SOLVERS[solver].multistep or np.array_equal(data[~starts], case["anchor_data"][~starts])


@EVERY
def test_solver_guides_three_channels(ops, solver):
    case = solver_case("linear", solver=solver)
    unguided = {**case, "guidance": np.zeros(4, np.float32)}
    guided, plain = ops.solver_update(**case)[0], ops.solver_update(**unguided)[0]
    assert np.array_equal(guided[:, 3], plain[:, 3])
    assert not np.any(guided[:, :3] == plain[:, :3])


@EVERY
@pytest.mark.parametrize("guided", [0, 2, 4])
def test_solver_guides_as_many_channels_as_it_is_told(ops, solver, guided):
    case = solver_case("vp", solver=solver)
    plain = ops.solver_update(**case, guided=0)[0]
    moved = (ops.solver_update(**case, guided=guided)[0] != plain).any(axis=(0, 2, 3))
    assert moved.tolist() == [True] * guided + [False] * (4 - guided)


@EVERY
@pytest.mark.parametrize(("process", "end"), [("vp", 0.0), ("linear", 1.0)])
@pytest.mark.parametrize("phase", [0, 1])
def test_a_step_to_the_end_arrives_at_the_predicted_data(ops, solver, process, end, phase):
    case = solver_case(process, solver=solver) | {"guidance": np.zeros(4, np.float32)}
    case["times"] = np.tile(floats(0.5, 0.5 if phase else end, end), (4, 1))
    case["phase"] = np.full(4, phase)
    x, _, data = ops.solver_update(**case)
    np.testing.assert_allclose(x, data, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    solver=st.sampled_from(sorted(SOLVERS)),
    coefficients=st.lists(st.floats(-9, -0.01), min_size=1, max_size=8),
)
def test_the_kernel_computes_any_noise_schedule(solver, coefficients):
    case = solver_case("vp", solver=solver)
    case["process"] = Process("vp", tuple(coefficients))
    case["times"] *= 0.5  # the data prediction of what is nearly pure noise is huge
    assert_close(CpuOps().solver_update(**case, guided=4), case | {"guided": 4})


def scales(time, process):
    """Return alpha and sigma, written out once more."""
    if process == "linear":
        return time, 1 - time
    log_alpha = -(time**2) * 19.9 / 4 - 0.05 * time
    return np.exp(log_alpha), np.sqrt(1 - np.exp(2 * log_alpha))


@EVERY
@pytest.mark.parametrize(
    ("process", "times"),
    [
        ("vp", (0.9, 0.5, 0.1)),
        ("linear", (0.1, 0.5, 0.9)),
        # SiT's first time is any that the policy chooses, and the network is asked at that one.
        *(("linear", (early, 0.3, 0.6)) for early in (7.5e-4, 1e-6, 1e-20)),
    ],
)
def test_solver_follows_a_constant_data_prediction_exactly(ops, process, times, solver):
    """With D constant the exact solution is alpha_t D + sigma_t noise, at any step size."""
    rng = np.random.default_rng(0)
    data, noise = rng.normal(size=(2, 1, 4, 3, 3))
    start, middle, end = times
    row = SOLVERS[solver]
    before = 0.95 if process == "vp" else start / 2

    def latent(time):
        alpha, sigma = scales(time, process)
        return (alpha * data + sigma * noise).astype(np.float32)

    now_and_then = [(start, middle), (middle, end)] if row.evaluations == 2 else [(start, end)]
    now_and_then = [(start, end)] * 2 if row.multistep else now_and_then
    prediction = (noise if process == "vp" else data - noise).astype(np.float32)
    rest = (
        prediction,
        prediction,
        floats(0),
        floats([start, before if row.multistep else middle, end]),
    )
    anchor, anchor_data = latent(start), data.astype(np.float32)
    for phase, (now, then) in enumerate(now_and_then):
        state = (latent(now), anchor, anchor_data)
        x, *_ = ops.solver_update(*state, *rest, np.asarray([phase]), PROCESSES[process], row)
        np.testing.assert_allclose(x, latent(then), atol=1e-4 if row.multistep else 1e-5)


def exact(case):
    """Return the specification's results in float64."""
    wide = {
        name: value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value
        for name, value in case.items()
    }
    return REFERENCE.solver_update(**wide)


def assert_close(results, case):
    """Hold results equal up to rounding of what they are sums of."""
    expected = exact(case)
    largest = max(np.abs(reference).max(initial=1) for reference in expected)
    for result, reference in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, reference, rtol=0, atol=TOLERANCE["latents"] * largest)


shapes = st.tuples(st.integers(1, 6), st.integers(1, 19), st.integers(1, 19))
random_cases = given(
    process=st.sampled_from(["vp", "linear"]),
    solver=st.sampled_from(sorted(SOLVERS)),
    batch=st.integers(1, 5),
    shape=shapes,
    seed=st.integers(0, 2**32 - 1),
)


@settings(deadline=None, max_examples=200)
@random_cases
def test_the_kernel_computes_the_specification(process, solver, batch, shape, seed):
    case = solver_case(process, batch, shape, seed, solver)
    case["phase"] = np.random.default_rng(seed).permutation(case["phase"])
    assert_close(CpuOps(threads=2).solver_update(**case), case)


def stored(values, dtype):
    """Return float32 numbers as a graph of another dtype gives them, and what these are."""
    if dtype == "bfloat16":
        bits = (values.view(np.uint32) >> 16).astype(np.uint16)
        return bits, (bits.astype(np.uint32) << 16).view(np.float32)
    kept = values.astype(dtype)
    return kept, kept.astype(np.float32)


def launched(case, dtype, copies):
    """Return results of the kernel for predictions of a dtype, and the case with these."""
    names = ("x", "anchor", "anchor_data", "cond", "null", "guidance", "times", "phase")
    inputs, rounded = dict(case), dict(case)
    for name in ("cond", "null"):
        inputs[name], rounded[name] = stored(case[name], dtype)
    shape = case["x"].shape
    results = [np.empty((times, *shape), np.float32) for times in (copies, 1, 1)]
    op = structs.SolverUpdate(
        *(inputs[name].ctypes.data for name in names),
        structs.PROCESSES[case["process"].kind],
        case["solver"].code,
        structs.DTYPES[dtype],
        GUIDED_CHANNELS,
        structs.log_alpha(case["process"]),
        *shape[:2],
        shape[2] * shape[3],
        copies,
        *(result.ctypes.data for result in results),
    )
    _kernels.launch("solver_update", bytes(op), 1)
    return results, rounded


@pytest.mark.parametrize("dtype", structs.DTYPES)
@settings(deadline=None, max_examples=50)
@random_cases
def test_predictions_of_other_dtypes(dtype, process, solver, batch, shape, seed):
    case = solver_case(process, batch, shape, seed, solver)
    (copies, *anchors), rounded = launched(case, dtype, copies=2)
    assert np.array_equal(copies[0], copies[1])
    assert_close((copies[0], *(result[0] for result in anchors)), rounded)


@EVERY
@KINDS
def test_results_may_be_written_over_inputs(process, solver):
    case = solver_case(process, solver=solver)
    expected = CpuOps().solver_update(**case)
    own = {name: case[name].copy() for name in ("x", "anchor", "anchor_data")}
    rest = (case[name].ctypes.data for name in ("cond", "null", "guidance", "times", "phase"))
    places = [array.ctypes.data for array in own.values()]
    codes = (structs.PROCESSES[process], case["solver"].code, structs.DTYPES["float32"])
    codes = (*codes, GUIDED_CHANNELS, structs.log_alpha(case["process"]))
    op = structs.SolverUpdate(*places, *rest, *codes, 4, 4, 35, 1, *places)
    _kernels.launch("solver_update", bytes(op), 1)
    assert all(map(np.array_equal, own.values(), expected))
