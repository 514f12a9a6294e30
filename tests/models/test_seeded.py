import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.models.seeded import rng, seeded_array, seeded_fill


def test_scale_follows_the_shape_and_the_name():
    noise = rng("run/m/w").standard_normal((2, 4), dtype=np.float32)
    np.testing.assert_array_equal(seeded_array("run/m", "w", (2, 4)), noise / 2)
    flat = rng("run/m/ln.weight").standard_normal(3, dtype=np.float32)
    np.testing.assert_allclose(seeded_array("run/m", "ln.weight", (3,)), 1 + 0.1 * flat)
    flat = rng("run/m/ln.bias").standard_normal(3, dtype=np.float32)
    np.testing.assert_allclose(seeded_array("run/m", "ln.bias", (3,)), 0.1 * flat, rtol=1e-6)


def test_fill_touches_floating_tensors_only():
    module = torch.nn.BatchNorm1d(3)
    seeded_fill(module, "run", "m", keep=["running_var"], scales={"bias": 2.0})
    expected = {name: seeded_array("run/m", name, (3,)) for name in ("weight", "bias")}
    np.testing.assert_allclose(module.weight.detach(), expected["weight"])
    np.testing.assert_allclose(module.bias.detach(), 2 * expected["bias"])
    np.testing.assert_array_equal(module.running_var, np.ones(3))
    assert module.num_batches_tracked == 0
