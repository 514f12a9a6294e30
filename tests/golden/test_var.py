"""VAR through the ONNX path computes what the published code computes."""

import pytest

pytest.importorskip("torch")

import numpy as np
from golden_data import deviation, golden, gumbel

from adagen_rt.ops import Injected
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import chosen, trajectory

SCALES = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)


def noise(seeds, steps):
    scale = int(steps[0])
    tokens = SCALES[scale] ** 2
    flat = gumbel(f"var/token_gumbel/{scale}", (3 * tokens, 4096))
    return Injected(flat.reshape(3, tokens, 4096))


@pytest.mark.parametrize("ops", [CpuOps(threads=2), ReferenceOps()], ids=["cpu", "reference"])
def test_trajectory(golden_engine, ops):
    engine = golden_engine("var-d16")
    expected = golden("var")
    generator = StepwisePipeline(engine, threads=2, ops=ops, noise=noise)
    states, decisions = zip(*trajectory(generator), strict=True)
    np.testing.assert_array_equal(states[-1].tokens, expected["indices"])
    assert deviation(states[-1].f_hat, expected["f_hat"]) < 1e-3
    actions = chosen(decisions)
    for column in range(actions.shape[-1]):
        assert deviation(actions[..., column], expected["policy_action"][..., column]) < 1e-4
    images = generator.generate([1, 207, 999], [0, 1, 2]).images
    got = np.moveaxis(images, -1, 1)[:, :, ::16, ::16] / 255
    assert np.abs(got - expected["image_sub"]).max() < 0.5 / 255 + 1e-3
