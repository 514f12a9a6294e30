from dataclasses import replace

import numpy as np
import pytest
from loops import begin, make_loop
from tiny_engine import SCHEDULE, STD, STEPS, Options, build_tiny_engine

import adagen_rt
from adagen_rt.engine.schedule import Schedule
from adagen_rt.engine.static_schedules import Constant
from adagen_rt.ops.noise import normals
from adagen_rt.ops.philox import Purpose
from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.refinement import Refinement

LABELS, SEEDS = [0, 1, 2, 0, 1], [5, 6, 7, 2**63 - 1, 0]
ACTIONS = len(SCHEDULE.actions)


@pytest.fixture(scope="module")
def plain(judged_pipeline):
    return judged_pipeline.generate(LABELS, SEEDS)


@pytest.fixture(scope="module")
def refined(judged_pipeline):
    return judged_pipeline.generate(LABELS, SEEDS, refine=3)


@pytest.fixture
def altered(tmp_path):
    def make(**options):
        options = Options(**{"judges": True, **options})
        return adagen_rt.load(build_tiny_engine(tmp_path / "engine", options), threads=1)

    return make


def starting(loop):
    return begin(loop, LABELS, SEEDS)[0]


def run(loop, state):
    """Final tokens and all decisions, in the order of the request."""
    done, decisions = {}, []
    while len(state):
        state, decision = loop.step(state)
        decisions.append(decision.actions)
        ended, state = loop.split(state)
        done |= dict(zip(ended.index.tolist(), ended.sampled.tolist(), strict=True))
    return [done[place] for place in sorted(done)], decisions


def test_one_candidate_is_no_refinement(judged_pipeline, plain):
    same = judged_pipeline.generate(LABELS, SEEDS, refine=1)
    np.testing.assert_array_equal(same.images, plain.images)
    assert same.timings.backbone_rows == plain.timings.backbone_rows


def test_refinement_changes_images_and_finishes(plain, refined):
    assert not refined.failures
    assert (refined.images != plain.images).any()
    assert refined.timings.seconds["critic"] > 0


def test_without_a_preference_the_policys_own_action_stands(altered, plain):
    indifferent = altered(critic_scale=0.0).generate(LABELS, SEEDS, refine=4)
    np.testing.assert_array_equal(indifferent.images, plain.images)
    for name, values in plain.schedule.items():
        np.testing.assert_allclose(indifferent.schedule[name], values, rtol=1e-5)


def test_the_winner_is_the_candidate_that_the_critic_values_most(judged_pipeline):
    """The first step again, one candidate at a time."""
    loop, graphs = make_loop(judged_pipeline), judged_pipeline.sampler.assembly.sessions
    state = starting(loop)
    outputs = {k: v.copy() for k, v in loop.backbone(loop.rule.observe(state)).items()}
    raw = loop.policy(loop.rule.features(state, outputs), state.step).copy()
    noise = STD * normals(state.seeds, state.step, Purpose.ACTION, 2 * ACTIONS)
    values, actions = [], []
    for shift in (0.0, noise[:, :ACTIONS], noise[:, ACTIONS:]):
        tried, decision = Loop._move(loop, state, raw + shift, state.step, outputs)
        seen = loop.backbone(loop.rule.observe(tried))["features"][:5]
        critic = graphs["critic"].run({"features": seen, "step": state.step + 1})
        values.append(critic["value"].copy())
        actions.append(decision.actions["guidance_scale"])
    best = np.argmax(values, axis=0)
    assert len(set(best.tolist())) > 1
    refined = make_loop(judged_pipeline, refine=3)
    _, decision = refined.step(starting(refined))
    expected = np.stack(actions)[best, np.arange(5)]
    np.testing.assert_allclose(decision.actions["guidance_scale"], expected, rtol=1e-5)


def test_the_cost_is_counted(refined, plain):
    assert plain.timings.backbone_rows == 2 * 5 * STEPS
    assert refined.timings.backbone_rows == 2 * 5 * (1 + 3 * (STEPS - 1))


@pytest.mark.parametrize("place", range(5))
def test_a_sample_alone_equals_itself_in_a_batch(judged_pipeline, refined, place):
    alone = judged_pipeline.generate([LABELS[place]], [SEEDS[place]], refine=3)
    np.testing.assert_array_equal(alone.images[0], refined.images[place])


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batches_do_not_change_images(judged_pipeline, refined, batch_size):
    again = judged_pipeline.generate(LABELS, SEEDS, refine=3, batch_size=batch_size)
    np.testing.assert_array_equal(again.images, refined.images)


def test_streaming_refines_too(judged_pipeline, refined):
    *_, last = judged_pipeline.stream(LABELS, SEEDS, refine=3)
    np.testing.assert_array_equal(last.preview(), refined.images)


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_other_numbers_of_steps(judged_pipeline, steps):
    result = judged_pipeline.generate(LABELS, SEEDS, refine=2, steps=steps)
    assert not result.failures
    assert result.timings.backbone_rows <= 2 * 5 * (1 + 2 * (steps - 1))


def test_more_candidates_begin_with_the_same():
    seeds, call = np.array([3, 4]), np.array([0, 2])
    few, many = (normals(seeds, call, Purpose.ACTION, n * ACTIONS) for n in (1, 5))
    np.testing.assert_array_equal(many[:, :ACTIONS], few)


def test_candidates_that_have_finished_cost_nothing(judged_pipeline):
    loop = make_loop(judged_pipeline, steps=60, refine=3)
    backbone, calls = loop.backbone, []

    def count(feeds):
        calls.append(len(feeds["labels"]))
        return backbone(feeds)

    loop.backbone = count
    tokens, _ = run(loop, starting(loop))
    assert len(tokens) == 5
    assert any(rows % (2 * 3) for rows in calls[1:])  # some of a sample's candidates go on
    assert loop.timings.backbone_rows == sum(calls) < 2 * 5 * (1 + 3 * 59)


def test_where_the_own_candidate_finishes_it_stands(judged_pipeline):
    """A schedule that leaves nothing masked ends at once, whatever the others would do."""
    loop = make_loop(judged_pipeline, refine=8)
    statics = (Constant(value=1e-3), *(action.static for action in SCHEDULE.actions[1:]))
    loop.schedule = Schedule(SCHEDULE.under(statics), STEPS, STEPS)
    loop.policy = lambda features, call: np.zeros((len(call), ACTIONS), np.float32)
    loop.refinement = replace(loop.refinement, std=20.0)
    state, decision = loop.step(starting(loop))
    assert loop.timings.backbone_rows > 2 * 5  # some of the others would go on
    assert loop.rule.finished(state).all()
    np.testing.assert_allclose(decision.actions["mask_ratio"], 1e-3, rtol=1e-3)


def test_a_non_finite_number_fails_its_sample_alone(altered, refined):
    broken = altered(nan_policy=1).generate(LABELS, SEEDS, refine=3)
    assert broken.failures == {1: 1, 4: 1}
    np.testing.assert_array_equal(broken.images[[0, 2, 3]], refined.images[[0, 2, 3]])


def test_a_candidate_without_a_value_is_out(judged_pipeline, plain):
    loop = make_loop(judged_pipeline, refine=3)
    blind = Refinement(3, STD, lambda seen, call: np.full(len(call), np.nan, np.float32))
    loop.refinement = blind
    _, decisions = run(loop, starting(loop))
    for call, actions in enumerate(decisions):
        for name, values in actions.items():
            np.testing.assert_allclose(values, plain.schedule[name][call], rtol=1e-5)


def test_one_loop_may_hold_several_states(judged_pipeline):
    alone = make_loop(judged_pipeline, refine=3)
    expected, _ = run(alone, starting(alone))
    loop = make_loop(judged_pipeline, refine=3)
    first, second = starting(loop), starting(loop)
    first, _ = loop.step(first)
    second, _ = loop.step(second)
    second_tokens, _ = run(loop, second)
    first_tokens, _ = run(loop, first)
    assert first_tokens == second_tokens == expected


def test_a_state_that_was_not_split_is_evaluated_afresh(judged_pipeline):
    whole, halves = (make_loop(judged_pipeline, refine=3) for _ in range(2))
    state, _ = whole.step(starting(whole))
    other, _ = halves.step(starting(halves))
    _, decision = whole.step(state)
    _, part = halves.step(other.take(np.array([3, 1])))
    values = decision.actions["guidance_scale"][[3, 1]]
    np.testing.assert_allclose(part.actions["guidance_scale"], values, rtol=1e-5)
