import numpy as np
import pytest

from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from ops.cases import floats, solver_case


@pytest.fixture(params=[ReferenceOps(), CpuOps(threads=2)], ids=["reference", "cpu"])
def ops(request):
    return request.param


@pytest.mark.parametrize("process", ["vp", "linear"])
@pytest.mark.parametrize(
    "times", [[0, 0, 0], [1, 1, 1], [1, 0.5, 0], [0, 0.5, 1], [0.5, 0.5, 0.5], [0.3, 0.9, 0.1]]
)
def test_solver_stays_finite_at_any_times(ops, process, times):
    case = solver_case(process)
    case["times"] = np.tile(floats(*times), (4, 1))
    assert all(np.isfinite(result).all() for result in ops.solver_update(**case))


def test_solver_phase_0_does_not_read_the_anchor(ops):
    case = solver_case("vp")
    case["anchor"][0::2] = case["anchor_data"][0::2] = np.nan
    x, anchor, data = ops.solver_update(**case)
    assert np.isfinite(x).all()
    assert np.array_equal(anchor[0::2], case["x"][0::2])
    assert np.array_equal(data[1::2], case["anchor_data"][1::2])


def test_solver_guides_three_channels(ops):
    case = solver_case("linear")
    unguided = {**case, "guidance": np.zeros(4, np.float32)}
    guided, plain = ops.solver_update(**case)[0], ops.solver_update(**unguided)[0]
    assert np.array_equal(guided[:, 3], plain[:, 3])
    assert not np.any(guided[:, :3] == plain[:, :3])


@pytest.mark.parametrize("process", ["vp", "linear"])
def test_solver_follows_a_constant_data_prediction_exactly(ops, process):
    """With D constant the exact solution is alpha_t D + sigma_t noise, at any step size."""
    rng = np.random.default_rng(0)
    data, noise = rng.normal(size=(2, 1, 4, 3, 3))
    start, middle, end = (0.9, 0.5, 0.1) if process == "vp" else (0.1, 0.5, 0.9)

    def state(time):
        if process == "linear":
            return time, 1 - time
        log_alpha = -(time**2) * 19.9 / 4 - 0.05 * time
        return np.exp(log_alpha), np.sqrt(1 - np.exp(2 * log_alpha))

    def latent(time):
        alpha, sigma = state(time)
        return (alpha * data + sigma * noise).astype(np.float32)

    prediction = (noise if process == "vp" else data - noise).astype(np.float32)
    rest = (prediction, prediction, floats(0), floats([start, middle, end]))
    anchor, anchor_data = latent(start), data.astype(np.float32)
    for phase, now, then in ((0, start, middle), (1, middle, end)):
        x = ops.solver_update(latent(now), anchor, anchor_data, *rest, np.asarray([phase]), process)
        np.testing.assert_allclose(x[0], latent(then), atol=1e-5)
