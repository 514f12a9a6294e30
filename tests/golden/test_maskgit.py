"""MaskGIT through the ONNX path computes what the published code computes."""

import pytest

pytest.importorskip("torch")

import numpy as np
from golden_data import deviation, golden, gumbel

from adagen_rt.ops import Injected
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import chosen, trajectory


def noise(seeds, steps):
    step = int(steps[0])
    return Injected(
        gumbel(f"maskgit/token_gumbel/{step}", (3, 256, 1024)),
        gumbel(f"maskgit/confidence_gumbel/{step}", (3, 256)),
    )


@pytest.mark.parametrize("ops", [CpuOps(threads=2), ReferenceOps()], ids=["cpu", "reference"])
def test_trajectory(golden_engine, ops):
    engine = golden_engine("maskgit-l")
    expected = golden("maskgit")
    states, decisions = zip(
        *trajectory(StepwisePipeline(engine, threads=2, ops=ops, noise=noise)), strict=True
    )
    np.testing.assert_array_equal([s.sampled for s in states], expected["sampled_ids"])
    np.testing.assert_array_equal([s.tokens for s in states], expected["masked_ids"])
    assert deviation(chosen(decisions), expected["policy_action"]) < 1e-4
