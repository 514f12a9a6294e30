import numpy as np
import pytest
from loops import make_loop
from tiny_engine import SCHEDULE, STEPS

import adagen_rt
from adagen_rt.engine.schedule import Schedule
from adagen_rt.sampling.driver import drive
from adagen_rt.sampling.loop import Loop
from adagen_rt.sampling.rule import StepRule

LABELS, SEEDS = [0, 1, 2, 0, 1], [5, 6, 7, 2**63 - 1, 0]
COUNT = len(LABELS)


def driven(loop, labels=LABELS, seeds=SEEDS, index=None):
    index = np.arange(len(labels)) if index is None else index
    return list(drive(loop, index, {"labels": np.array(labels)}, np.array(seeds)))


@pytest.fixture
def pipeline(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1)


def test_it_yields_until_all_have_ended(pipeline):
    steps = driven(make_loop(pipeline))
    assert [stepped.number for stepped in steps] == list(range(1, len(steps) + 1))
    ended = np.concatenate([stepped.ended.index for stepped in steps])
    assert sorted(ended) == list(range(COUNT))
    assert all(len(stepped.running) for stepped in steps[:-1])
    assert not len(steps[-1].running)


def test_every_slot_is_running_or_has_ended(pipeline):
    running = set(range(COUNT))
    for stepped in driven(make_loop(pipeline, steps=60)):
        now, gone = set(stepped.running.index.tolist()), set(stepped.ended.index.tolist())
        assert now | gone == running
        assert not now & gone
        running = now


def test_slots_that_end_early_leave_and_cost_nothing_more(static_engine):
    loop = make_loop(adagen_rt.load(static_engine, threads=1), steps=60)
    steps = driven(loop)
    ratios = SCHEDULE.actions[0].static.values(60, 60)
    assert len(steps) == int(np.argmax(np.floor(16 * ratios) == 0)) + 1 < 60
    assert loop.timings.backbone_rows == 2 * COUNT * len(steps)


def test_those_that_leave_take_nobody_with_them(pipeline):
    """Under the policy, samples end at different steps."""
    steps = driven(make_loop(pipeline, steps=60))
    lengths = {int(place): s.number for s in steps for place in s.ended.index}
    assert len(set(lengths.values())) > 1
    for place, (label, seed) in enumerate(zip(LABELS, SEEDS, strict=True)):
        alone = driven(make_loop(pipeline, steps=60), [label], [seed], np.array([place]))
        assert len(alone) == lengths[place]
        together = next(s.ended for s in steps if place in s.ended.index)
        row = together.index.tolist().index(place)
        np.testing.assert_array_equal(alone[-1].ended.sampled[0], together.sampled[row])


def test_each_step_has_the_decisions_that_led_to_it(pipeline):
    for stepped in driven(make_loop(pipeline)):
        (decision,) = stepped.decisions
        assert set(decision.call.tolist()) == {stepped.number - 1}
        everyone = {*stepped.ended.index.tolist(), *stepped.running.index.tolist()}
        assert set(decision.index.tolist()) == everyone


def test_places_need_not_begin_at_nought(pipeline):
    steps = driven(make_loop(pipeline), [2, 1], [7, 6], np.array([9, 4]))
    assert sorted(np.concatenate([s.ended.index for s in steps])) == [4, 9]


class TwoSteps(StepRule):
    """Asks once before the first evaluation; the features tell when it asks."""

    steps = 2

    def start(self, blank):
        return blank

    def prologue(self, state):
        return {"features": np.zeros((len(state), 1), np.float32)}

    def observe(self, state):
        return {}

    def features(self, state, outputs):
        return {"features": np.ones((len(state), 1), np.float32)}

    def advance(self, state, outputs, actions):
        return type(state)(**{**vars(state), "step": state.step + 1})

    def latents(self, state):
        return {}


def test_decisions_before_the_first_evaluation_come_with_the_first_step(pipeline):
    seen = []

    def policy(features, call):
        seen.append((float(features["features"].max()), call.tolist()))
        return np.zeros((len(call), len(SCHEDULE.actions)), np.float32)

    conditioner = make_loop(pipeline).conditioner
    loop = Loop(TwoSteps(), Schedule(SCHEDULE, 2, 3), conditioner, lambda inputs: {}, policy)
    first, second = driven(loop, [0, 1], [5, 6])
    assert [decision.call.tolist() for decision in first.decisions] == [[0, 0], [1, 1]]
    assert [decision.call.tolist() for decision in second.decisions] == [[2, 2]]
    assert seen == [(0.0, [0, 0]), (1.0, [1, 1]), (1.0, [2, 2])]


def test_nothing_runs_before_the_first_step_is_asked_for(pipeline):
    loop = make_loop(pipeline)
    steps = drive(loop, np.arange(COUNT), {"labels": np.array(LABELS)}, np.array(SEEDS))
    assert loop.timings.backbone_rows == 0
    next(steps)
    assert loop.timings.backbone_rows == 2 * COUNT
    steps.close()
    assert loop.timings.backbone_rows == 2 * COUNT < 2 * COUNT * STEPS


def test_what_fails_ends_at_once(pipeline):
    loop = make_loop(pipeline)
    policy = loop.policy

    def broken(features, call):
        raw = policy(features, call).copy()
        raw[call == 1] = np.nan
        return raw

    loop.policy = broken
    first, second = driven(loop)
    assert not len(first.ended)
    assert second.ended.failed.all()
    assert second.ended.step.tolist() == [2] * COUNT
