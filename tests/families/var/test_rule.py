import numpy as np
import pytest

from adagen_rt.condition import ClassLabels, Conditioner
from adagen_rt.families.var.rule import VARRule
from adagen_rt.families.var.spec import VARSpec
from adagen_rt.ops.cpu import CpuOps
from adagen_rt.ops.noise import Philox
from adagen_rt.sampling.rule import State

SPEC = VARSpec(scales=(1, 2, 3), vocabulary=6, code_width=2, layers=2, width=4, phi=(0, 1, 1))
CLASSES, COUNT = 5, 3
CALLS = []


def condition(inputs):
    rows = len(inputs["labels"])
    return {
        "modulation": np.ones((SPEC.layers, rows, 6, SPEC.width), np.float32),
        "head_modulation": np.ones((rows, 2, SPEC.width), np.float32),
        "start": inputs["labels"][:, None] * np.ones((1, SPEC.width), np.float32),
    }


def refine(inputs):
    CALLS.append({name: np.array(value) for name, value in inputs.items()})
    count, following = len(inputs["tokens"]), len(inputs["next_positions"])
    added = inputs["tokens"].sum(axis=1, dtype=np.float32)[:, None, None, None]
    return {
        "next_f_hat": inputs["f_hat"] + added,
        "next_inputs": np.ones((count, following, SPEC.code_width), np.float32),
    }


@pytest.fixture
def rule():
    CALLS.clear()
    return VARRule(SPEC, CpuOps(), Philox, refine)


def blank(labels=(4, 0, 2)):
    count = len(labels)
    axes = SPEC.own_contracts()["condition"].axes
    conditioner = Conditioner(ClassLabels(count=CLASSES), condition, axes)
    return State(
        index=np.arange(count),
        condition=conditioner({"labels": np.array(labels)}),
        seeds=np.arange(count),
        step=np.zeros(count, np.int64),
        smoothed=np.zeros((count, 4), np.float32),
        failed=np.zeros(count, bool),
    )


def actions(guidance=1.0, count=COUNT):
    def full(value):
        return np.full(count, value, np.float32)

    return {
        "guidance_scale": full(guidance),
        "top_k": full(0),
        "top_p": full(1),
        "sampling_temperature": full(1),
    }


def outputs(tokens, count=COUNT):
    rng = np.random.default_rng(tokens)
    cache = np.full((tokens, SPEC.layers, 2, 2 * count, SPEC.width), tokens, np.float32)
    cache += np.arange(2 * count)[:, None]
    logits = rng.normal(size=(2 * count, tokens, SPEC.vocabulary)).astype(np.float32)
    return {"logits": logits, "features": logits, "new_cache": cache}


def test_the_scales_follow_each_other(rule):
    state = rule.start(blank())
    for scale, (side, past) in enumerate([(1, 0), (2, 1), (3, 5)]):
        seen = rule.observe(state)
        np.testing.assert_array_equal(seen["positions"], np.arange(past, past + side * side))
        assert seen["inputs"].shape == (2 * COUNT, side * side, SPEC.code_width)
        assert seen["cache"].shape == (past, SPEC.layers, 2, 2 * COUNT, SPEC.width)
        assert not rule.finished(state).any()
        state = rule.advance(state, outputs(side * side), actions())
        assert CALLS[scale]["phi"] == SPEC.phi[scale]
    assert rule.finished(state).all()
    assert state.tokens.shape == (COUNT, 14)


def test_null_rows_have_the_null_class(rule):
    start = rule.start(blank()).condition.arrays["start"]
    np.testing.assert_array_equal(start[:, 0], [4, 0, 2, CLASSES, CLASSES, CLASSES])


def test_the_cache_keeps_what_each_scale_gave(rule):
    state = rule.advance(rule.start(blank()), outputs(1), actions())
    state = rule.advance(state, outputs(4), actions())
    cache = rule.observe(state)["cache"]
    np.testing.assert_array_equal(cache[:1], outputs(1)["new_cache"])
    np.testing.assert_array_equal(cache[1:], outputs(4)["new_cache"])


def run(rule, state):
    """To the end."""
    for scale in SPEC.scales:
        state = rule.advance(state, outputs(scale.area), actions())
    return state


def test_nobody_looks_back_at_the_last_scale(rule):
    state = rule.start(blank())
    assert len(state.cache) == 1 + 4
    assert len(run(rule, state).cache) == 0


def test_a_cache_is_used_again_by_those_who_come_later(rule):
    first, second = rule.start(blank()), rule.start(blank())
    assert not np.shares_memory(first.cache, second.cache)
    run(rule, first)
    third, fourth = rule.start(blank()), rule.start(blank())
    assert third.cache is first.cache
    assert fourth.cache is not first.cache
    run(rule, third)
    one = rule.start(blank(labels=[4]))
    assert one.cache.shape == (5, SPEC.layers, 2, 2, SPEC.width)


def test_taking_slots_keeps_both_rows_of_each(rule):
    state = rule.advance(rule.start(blank()), outputs(1), actions())
    taken = state.take(np.array([2]))
    np.testing.assert_array_equal(taken.condition.arrays["start"][:, 0], [2, CLASSES])
    np.testing.assert_array_equal(taken.cache[0, 0, 0, :, 0], [1 + 2, 1 + 5])
    assert taken.condition.arrays["modulation"].shape == (SPEC.layers, 2, 6, SPEC.width)


def test_guidance_is_none_at_the_first_scale(rule):
    state = rule.start(blank())
    weak = rule.advance(state, outputs(1), actions(0)).tokens.copy()
    strong = rule.advance(state, outputs(1), actions(1e4)).tokens
    np.testing.assert_array_equal(weak, strong)


def test_non_finite_logits_fail_their_sample_alone(rule):
    bad = outputs(1)
    bad["logits"][1] = np.nan
    state = rule.advance(rule.start(blank()), bad, actions())
    np.testing.assert_array_equal(state.failed, [False, True, False])
    # The graph that refines looks tokens up in a table.
    assert (state.tokens >= 0).all()
