import numpy as np
import pytest

from adagen_rt.condition import ClassLabels, Conditioner
from adagen_rt.families.maskgit.rule import MaskGITRule
from adagen_rt.families.maskgit.spec import MaskGITSpec
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.noise import Philox
from adagen_rt.sampling.rule import State

SPEC = MaskGITSpec(tokens=9, vocabulary=5)
CLASSES, STEPS = 3, 4


@pytest.fixture
def rule():
    return MaskGITRule(SPEC, STEPS, CpuOps(), Philox)


def blank(count):
    labels = {"labels": np.arange(count) % CLASSES}
    zeros = np.zeros(count, np.int64)
    return State(
        index=np.arange(count),
        condition=Conditioner(ClassLabels(count=CLASSES))(labels),
        seeds=np.arange(count),
        step=zeros,
        smoothed=np.zeros((count, 4), np.float32),
        failed=np.zeros(count, bool),
    )


def actions(*mask_ratios):
    def full(value):
        return np.full(len(mask_ratios), value, np.float32)

    return {
        "mask_ratio": np.array(mask_ratios, np.float32),
        "confidence_temperature": full(0),
        "sampling_temperature": full(1),
        "guidance_scale": full(0),
    }


def outputs(count):
    shape = (2 * count, SPEC.tokens, SPEC.vocabulary)
    logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {"logits": logits, "features": np.zeros((2 * count, SPEC.tokens, 2), np.float32)}


def test_everything_is_masked_at_first(rule):
    state = rule.start(blank(2))
    assert (state.tokens == SPEC.mask_id).all()


def test_the_backbone_sees_conditional_rows_then_null_rows(rule):
    seen = rule.observe(rule.start(blank(2)))
    assert seen["tokens"].shape == (4, SPEC.tokens)
    np.testing.assert_array_equal(seen["labels"], [0, 1, CLASSES, CLASSES])


def test_each_sample_masks_its_own_share(rule):
    state = rule.advance(rule.start(blank(3)), outputs(3), actions(0.5, 0.0, 1.0))
    masked = (state.tokens == SPEC.mask_id).sum(axis=1)
    # At least one token is kept, whatever the ratio.
    np.testing.assert_array_equal(masked, [4, 0, 8])
    assert (state.sampled < SPEC.vocabulary).all()
    np.testing.assert_array_equal(state.step, [1, 1, 1])


def test_known_tokens_stay(rule):
    first = rule.advance(rule.start(blank(1)), outputs(1), actions(0.5))
    second = rule.advance(first, outputs(1), actions(0.2))
    known = first.tokens != SPEC.mask_id
    np.testing.assert_array_equal(second.sampled[known], first.tokens[known])


def test_a_sample_is_finished_when_nothing_is_masked(rule):
    state = rule.advance(rule.start(blank(2)), outputs(2), actions(0.5, 0.0))
    np.testing.assert_array_equal(rule.finished(state), [False, True])


def test_a_sample_is_finished_after_the_last_step(rule):
    state = rule.start(blank(1))
    for _ in range(STEPS):
        assert not rule.finished(state).any()
        state = rule.advance(state, outputs(1), actions(0.9))
    assert rule.finished(state).all()
    assert (rule.latents(state)["tokens"] < SPEC.vocabulary).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_logits_fail_their_sample_alone(rule, value):
    bad = outputs(3)
    bad["logits"][1] = value
    state = rule.advance(rule.start(blank(3)), bad, actions(0.5, 0.5, 0.5))
    np.testing.assert_array_equal(state.failed, [False, True, False])


def test_slots_can_be_taken_in_any_order(rule):
    state = rule.start(blank(3)).take(np.array([2, 0]))
    np.testing.assert_array_equal(state.index, [2, 0])
    assert len(state) == 2
