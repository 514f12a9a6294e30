import numpy as np
import pytest
from tiny_engine import STEPS

import adagen_rt
from adagen_rt.sampling.params import SamplingParams


@pytest.fixture
def assembly(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1).sampler.assembly


def tuned(manifest):
    """Its schedule, with a tuned one that is the static one backwards by name."""
    actions = manifest.schedule.actions
    return manifest.schedule.model_copy(update={"tuned": tuple(a.static for a in actions[::-1])})


def loop(assembly, **options):
    return assembly.loop(SamplingParams(**options).check(assembly.manifest))


def test_a_rule_is_made_once_for_each_number_of_steps(assembly):
    """It may keep memory, and a backbone the rows that it knows."""
    assert loop(assembly).rule is loop(assembly).rule is assembly.rule(STEPS)
    assert loop(assembly, steps=2).rule is not assembly.rule(STEPS)
    assert loop(assembly).backbone is loop(assembly, steps=2).backbone


def test_another_schedule_shares_the_rules(assembly):
    other = assembly.under(tuned(assembly.manifest))
    assert other.rule(STEPS) is assembly.rule(STEPS)
    assert other.manifest.schedule.tuned is not None
    assert assembly.manifest.schedule.tuned is None


def test_each_schedule_has_its_policy_and_its_residuals(assembly):
    assembly = assembly.under(tuned(assembly.manifest))
    policy, static, best = (loop(assembly, schedule=s) for s in ("policy", "static", "tuned"))
    np.testing.assert_array_equal(policy.schedule.residual, static.schedule.residual)
    assert (best.schedule.residual != static.schedule.residual).any()
    features = {"features": np.ones((2, 16, 6), np.float32)}
    assert policy.policy(features, np.array([0, 3])).any()
    for plain in (static, best):
        answer = plain.policy(features, np.array([0, 3]))
        assert (answer.shape, answer.dtype) == ((2, 4), np.float32)
        assert not answer.any()


def test_a_policy_can_be_put_in_the_engines_place(assembly):
    def own(features, call):
        raise AssertionError

    assert assembly.loop(SamplingParams().check(assembly.manifest), policy=own).policy is own
