import numpy as np
import pytest
from loops import begin, make_loop
from tiny_engine import SCHEDULE, Options, build_tiny_engine

import adagen_rt
from adagen_rt.sampling.loop import Fidelity

LABELS, SEEDS = [0, 1, 2, 0], [5, 6, 7, 8]


@pytest.fixture(scope="module")
def plain(judged_pipeline):
    return judged_pipeline.generate(LABELS, SEEDS)


@pytest.fixture(scope="module")
def faithful(judged_engine):
    """The fidelity policy in the first one's place."""
    pipeline = adagen_rt.load(judged_engine, threads=1)
    sessions = pipeline.sampler.assembly.sessions
    sessions["policy"] = sessions["fidelity_policy"]
    return pipeline.generate(LABELS, SEEDS)


def test_no_fidelity_is_the_first_policy_and_does_not_ask_the_second(
    judged_engine, plain, monkeypatch
):
    pipeline = adagen_rt.load(judged_engine, threads=1)

    class Unasked:
        def run(self, inputs):
            raise AssertionError("the fidelity policy was asked")

    monkeypatch.setitem(pipeline.sampler.assembly.sessions, "fidelity_policy", Unasked())
    for fidelity in (0, 0.0, [0.0] * 4):
        same = pipeline.generate(LABELS, SEEDS, fidelity=fidelity)
        np.testing.assert_array_equal(same.images, plain.images)


def test_full_fidelity_is_the_second_policy(judged_pipeline, plain, faithful):
    result = judged_pipeline.generate(LABELS, SEEDS, fidelity=1)
    np.testing.assert_array_equal(result.images, faithful.images)
    assert (result.images != plain.images).any()


def test_every_sample_has_a_fidelity_of_its_own(judged_pipeline, plain, faithful):
    mixed = judged_pipeline.generate(LABELS, SEEDS, fidelity=[0, 1, 0.5, 0], batch_size=3)
    np.testing.assert_array_equal(mixed.images[[0, 3]], plain.images[[0, 3]])
    np.testing.assert_array_equal(mixed.images[1], faithful.images[1])
    alone = judged_pipeline.generate([2], [7], fidelity=0.5)
    np.testing.assert_array_equal(mixed.images[2], alone.images[0])


def test_policies_are_blended_before_the_activation(judged_pipeline, plain, faithful):
    half = judged_pipeline.generate(LABELS, SEEDS, fidelity=0.25)
    for action in SCHEDULE.actions:
        # At the first call, all three saw the same.
        first, second, got = (
            action.inverse(result.schedule[action.name][0].astype(np.float64))
            for result in (plain, faithful, half)
        )
        np.testing.assert_allclose(got, 0.75 * first + 0.25 * second, rtol=1e-3, atol=1e-4)


def test_a_sample_that_does_not_follow_the_second_policy_survives_it(judged_pipeline, plain):
    loop = make_loop(judged_pipeline, np.array([0, 1, 0, 0.5], np.float32))
    loop.fidelity = Fidelity(
        lambda features, call: np.full((len(call), 4), np.nan, np.float32), loop.fidelity.share
    )
    state, _ = begin(loop, LABELS, SEEDS)
    state, decision = loop.step(state)
    assert state.failed.tolist() == [False, True, False, True]
    got = decision.actions["guidance_scale"][[0, 2]]
    np.testing.assert_array_equal(got, plain.schedule["guidance_scale"][0, [0, 2]])


def test_streaming_blends_too(judged_pipeline, faithful):
    *_, last = judged_pipeline.stream(LABELS, SEEDS, fidelity=1.0)
    np.testing.assert_array_equal(last.preview(), faithful.images)


def test_an_older_engine_stays_valid(tmp_path, plain):
    older = adagen_rt.load(build_tiny_engine(tmp_path / "engine", Options()), threads=1)
    result = older.generate(LABELS, SEEDS, fidelity=0.0, refine=1, best_of=1)
    np.testing.assert_array_equal(result.images, plain.images)
