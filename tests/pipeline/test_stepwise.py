import numpy as np
import pytest
from tiny_engine import CLASSES, SCHEDULE, SIDE, STEPS, Options, build_tiny_engine

import adagen_rt
from adagen_rt.engine.schedule import Schedule
from adagen_rt.errors import EngineError, InputError
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request

LABELS = [0, 1, 2, 0, 1]
SEEDS = [5, 6, 7, 2**63 - 1, 0]


@pytest.fixture(scope="module")
def pipeline(tiny_engine):
    return adagen_rt.load(tiny_engine, threads=1)


@pytest.fixture(scope="module")
def result(pipeline):
    return pipeline.generate(LABELS, SEEDS)


def altered(tmp_path, **options):
    return adagen_rt.load(build_tiny_engine(tmp_path / "engine", Options(**options)), threads=1)


def equal(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    for name, values in one.schedule.items():
        # Matrix products of other sizes round differently in the last bit.
        np.testing.assert_allclose(values, other.schedule[name], rtol=1e-5)


def test_a_result_says_what_was_made(result):
    assert result.images.shape == (5, SIDE, SIDE, 1)
    assert result.images.dtype == np.uint8
    np.testing.assert_array_equal(result.labels, LABELS)
    np.testing.assert_array_equal(result.rows["labels"], LABELS)
    np.testing.assert_array_equal(result.seeds, SEEDS)
    assert set(result.schedule) == set(SCHEDULE.names)
    assert all(values.shape == (STEPS, 5) for values in result.schedule.values())
    assert not result.failures
    assert {"backbone", "policy", "sampling", "decoder"} <= set(result.timings.seconds)


def test_a_request_that_was_checked_is_run_as_it_is(pipeline, result):
    request = make_request(pipeline.manifest, LABELS, SEEDS)
    equal(pipeline.run(request), result)
    equal(pipeline.run(request, batch_size=2), result)


def test_parameters_may_come_as_an_object_and_as_keywords(pipeline):
    params = SamplingParams(steps=3, schedule="static")
    expected = pipeline.generate(LABELS, SEEDS, steps=3, schedule="static")
    equal(pipeline.generate(LABELS, SEEDS, params), expected)
    equal(
        pipeline.generate(LABELS, SEEDS, SamplingParams(steps=9), steps=3, schedule="static"),
        expected,
    )
    other = pipeline.generate(LABELS, SEEDS, params, schedule="policy")
    equal(other, pipeline.generate(LABELS, SEEDS, steps=3))


def test_an_option_that_is_none_is_refused(pipeline):
    with pytest.raises(InputError, match="colour: got 'red', expected one of the options"):
        pipeline.generate([0], [1], colour="red")
    with pytest.raises(InputError, match="colour: got 'red', expected one of the options"):
        pipeline.stream([0], [1], colour="red")


def test_names_stand_for_numbers(pipeline, result):
    equal(pipeline.generate([CLASSES[label] for label in LABELS], SEEDS), result)


def test_drawn_seeds_reproduce_their_images(pipeline):
    drawn = pipeline.generate(LABELS)
    equal(pipeline.generate(LABELS, drawn.seeds.tolist()), drawn)


@pytest.mark.parametrize("place", range(5))
def test_a_sample_alone_equals_itself_in_a_batch(pipeline, result, place):
    alone = pipeline.generate([LABELS[place]], [SEEDS[place]])
    np.testing.assert_array_equal(alone.images[0], result.images[place])


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_batches_do_not_change_images(pipeline, result, batch_size):
    equal(pipeline.generate(LABELS, SEEDS, batch_size=batch_size), result)


def test_order_does_not_change_images(pipeline, result):
    order = [3, 0, 4, 2, 1]
    mixed = pipeline.generate([LABELS[i] for i in order], [SEEDS[i] for i in order])
    np.testing.assert_array_equal(mixed.images, result.images[order])


def test_threads_do_not_change_images(tiny_engine, result):
    equal(adagen_rt.load(tiny_engine, threads=3).generate(LABELS, SEEDS), result)


def test_the_policy_adapts_to_the_sample(result):
    assert all(np.ptp(values, axis=1).max() > 0 for values in result.schedule.values())


def test_static_equals_an_engine_without_a_policy(pipeline, static_engine):
    bare = adagen_rt.load(static_engine, threads=1)
    assert pipeline.has_policy
    assert not bare.has_policy
    static = pipeline.generate(LABELS, SEEDS, schedule="static")
    equal(static, bare.generate(LABELS, SEEDS))
    for action in SCHEDULE.actions:
        values = static.schedule[action.name][:, 0]
        np.testing.assert_allclose(values, action.static.values(STEPS, STEPS), rtol=1e-3)


def test_a_policy_of_zeros_is_the_static_schedule(pipeline, tmp_path):
    zeros = altered(tmp_path, policy_scale=0.0)
    equal(zeros.generate(LABELS, SEEDS), pipeline.generate(LABELS, SEEDS, schedule="static"))


@pytest.mark.parametrize("steps", [1, 3, 9])
def test_steps_may_differ_from_the_trained_ones(pipeline, steps):
    result = pipeline.generate(LABELS, SEEDS, steps=steps)
    assert all(values.shape == (steps, 5) for values in result.schedule.values())
    assert not result.failures


def test_other_steps_see_the_corresponding_policy_step(pipeline, monkeypatch):
    asked = []
    sessions = pipeline.sampler.assembly.sessions
    policy = sessions["policy"]

    class Spy:
        def run(self, inputs):
            asked.append(int(inputs["step"][0]))
            return policy.run(inputs)

    monkeypatch.setitem(sessions, "policy", Spy())
    pipeline.generate([0], [0], steps=8, schedule="policy")
    assert asked == [0, 0, 1, 1, 2, 2, 3, 3][: len(asked)]
    assert len(asked) > 4


def test_finished_samples_cost_nothing_more(static_engine):
    pipeline = adagen_rt.load(static_engine, threads=1)
    # Of 16 tokens, the cosine leaves less than one to mask some steps before the end.
    steps = 60
    result = pipeline.generate(LABELS, SEEDS, steps=steps, batch_size=5)
    ratios = SCHEDULE.actions[0].static.values(steps, steps)
    needed = int(np.argmax(np.floor(16 * ratios) == 0)) + 1
    assert needed < steps
    assert result.timings.backbone_rows == 2 * 5 * needed
    assert np.isnan(result.schedule["mask_ratio"][needed:]).all()
    assert np.isfinite(result.schedule["mask_ratio"][:needed]).all()


@pytest.mark.parametrize("fault", ["nan_logits", "nan_policy"])
def test_a_non_finite_number_fails_its_sample_alone(result, tmp_path, fault):
    broken = altered(tmp_path, **{fault: 1}).generate(LABELS, SEEDS)
    assert broken.failures == {1: 1, 4: 1}
    good = [0, 2, 3]
    np.testing.assert_array_equal(broken.images[good], result.images[good])
    assert not broken.images[[1, 4]].any()
    assert broken.timings.backbone_rows == result.timings.backbone_rows - 2 * 2 * (STEPS - 1)


def test_when_every_sample_fails(tmp_path):
    broken = altered(tmp_path, nan_logits=1).generate([1, 1], [0, 1])
    assert broken.failures == {0: 1, 1: 1}
    assert not broken.images.any()


def test_extreme_policies_still_give_images(tmp_path):
    wild = altered(tmp_path, policy_scale=1e6).generate(LABELS, SEEDS)
    assert not wild.failures


def test_streaming_shows_each_step(pipeline, result):
    seen = list(pipeline.stream(LABELS, SEEDS))
    assert [step.number for step in seen] == list(range(1, len(seen) + 1))
    assert sum(step.advanced for step in seen) == STEPS * len(LABELS)
    assert not len(seen[-1].running)
    # Previews of old steps can be had later, in the order of the request.
    assert seen[0].preview().shape == result.images.shape
    np.testing.assert_array_equal(seen[-1].preview(), result.images)


def test_streaming_survives_failed_samples(tmp_path):
    seen = list(altered(tmp_path, nan_logits=1).stream(LABELS, SEEDS))
    assert not any(1 in step.running for step in seen)
    assert seen[-1].preview().shape[0] == len(LABELS)


def test_streaming_refuses_bad_input_at_once(pipeline):
    with pytest.raises(InputError, match="steps"):
        pipeline.stream([0], steps=0)


@pytest.mark.parametrize("batch_size", [0, -1, 10**9, 1.5])
def test_bad_batch_sizes_are_refused(pipeline, batch_size):
    with pytest.raises(InputError, match="batch_size"):
        pipeline.generate([0], batch_size=batch_size)


@pytest.mark.parametrize("threads", [0, -1, 10**6, "2"])
def test_bad_thread_counts_are_refused(tiny_engine, threads):
    with pytest.raises(InputError, match="threads"):
        adagen_rt.load(tiny_engine, threads=threads)


def test_an_engine_of_other_actions_is_refused(tmp_path, monkeypatch):
    actions = (SCHEDULE.actions[0].model_copy(update={"name": "speed"}), *SCHEDULE.actions[1:])
    other = SCHEDULE.model_copy(update={"actions": actions})
    monkeypatch.setattr("tiny_engine.SCHEDULE", other)
    folder = build_tiny_engine(tmp_path / "engine")
    with pytest.raises(EngineError, match="speed"):
        adagen_rt.load(folder)


def test_the_schedule_is_in_the_order_of_the_columns(pipeline, result):
    raw = np.zeros((1, len(SCHEDULE.actions)), np.float32)
    first, _ = Schedule(SCHEDULE, STEPS, STEPS).decide(raw, np.array([0]), raw)
    assert list(first) == list(result.schedule)
