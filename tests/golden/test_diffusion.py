"""DiT and SiT through the ONNX path compute what the published code computes."""

import pytest

pytest.importorskip("torch")

import numpy as np
from golden_data import deviation, golden, normal

from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.reference import ReferenceOps
from adagen_rt.pipeline.stepwise import StepwisePipeline
from golden.engines import chosen, trajectory

CASES = {
    "dit": ("dit-xl-2", False),
    "sit": ("sit-xl-2", False),
    "dit_wild": ("dit-xl-2", True),
    "sit_wild": ("sit-xl-2", True),
}


def starting_from(ops, latents):
    """The same ops, with given latents for the initial noise."""
    return type("Started", (type(ops),), {"normal": lambda self, seeds, shape: latents.copy()})


def same_times(got, expected):
    """Within 1e-4 of the deviation, or 1e-6 of the whole interval.

    Where the clamps act, nearly all times are equal and their deviation is next to
    nothing: in `dit_wild` the recorded first time itself is 1.1e-4 of it away from what
    the policy gives in float64.
    """
    return np.abs(got - expected).max() < max(1e-4 * expected.std(), 1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", [CpuOps, ReferenceOps])
def test_trajectory(golden_engine, name, kind):
    engine = golden_engine(*CASES[name])
    expected = golden(name)
    family = name.removesuffix("_wild")
    arguments = {"threads": 2} if kind is CpuOps else {}
    started = starting_from(kind(**arguments), normal(f"{family}/z", (3, 4, 32, 32)))
    generator = StepwisePipeline(engine, threads=2, ops=started(**arguments))
    states, decisions = zip(*trajectory(generator), strict=True)
    assert deviation(chosen(decisions), expected["policy_action"]) < 1e-4
    times = np.stack([state.time for state in states])
    assert same_times(times[:-1], expected["eval_t"])
    assert same_times(times[1:], expected["next_t"])
    # The second and third states are those at the second and third evaluation.
    assert deviation(states[1].x, expected["second_state"]) < 1e-3
    assert deviation(states[2].x, expected["third_state"]) < 1e-3
    assert deviation(states[-1].x, expected["latent"]) < 1e-3
