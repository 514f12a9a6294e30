import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

import adagen_rt
from adagen_rt.sampling.best_of import Best, Keeper, candidate_seeds
from adagen_rt.sampling.params import SamplingParams
from adagen_rt.sampling.request import make_request

LABELS, SEEDS, COUNT = [0, 1, 2, 0], [5, 6, 7, 2**63 - 1], 4


@pytest.fixture(scope="module")
def best(judged_pipeline):
    return judged_pipeline.generate(LABELS, SEEDS, best_of=COUNT)


@pytest.fixture(scope="module")
def candidates(judged_pipeline):
    """Each candidate by itself."""
    seeds = [candidate_seeds(np.array(SEEDS), number) for number in range(COUNT)]
    return [judged_pipeline.generate(LABELS, part.tolist()) for part in seeds]


def brightness(result):
    """What the tiny reward model likes, up to a number for the class."""
    return result.images.mean(axis=(1, 2, 3)) / 255


def test_one_candidate_is_no_choice(judged_pipeline, candidates):
    same = judged_pipeline.generate(LABELS, SEEDS, best_of=1)
    np.testing.assert_array_equal(same.images, candidates[0].images)
    assert same.rewards is None


def test_the_first_candidate_has_the_samples_own_seed():
    seeds = np.array(SEEDS)
    np.testing.assert_array_equal(candidate_seeds(seeds, 0), seeds)


def test_derived_seeds_are_valid_and_differ():
    drawn = np.stack([candidate_seeds(np.arange(200), number) for number in range(1, 9)])
    assert len(np.unique(drawn)) == drawn.size
    assert drawn.min() >= 0
    assert drawn.max() > 2**62  # all 63 bits are used
    np.testing.assert_array_equal(candidate_seeds(np.arange(5), 3), drawn[2, :5])


def test_the_best_of_the_candidates_is_kept(best, candidates):
    scores = np.stack([brightness(result) for result in candidates])
    winners = scores.argmax(axis=0)
    assert len(set(winners.tolist())) > 1
    for place, number in enumerate(winners):
        chosen = candidates[number]
        np.testing.assert_array_equal(best.images[place], chosen.images[place])
        assert best.seeds[place] == chosen.seeds[place]
        for name, values in best.schedule.items():
            np.testing.assert_allclose(values[:, place], chosen.schedule[name][:, place], rtol=1e-5)


def test_rewards_are_those_of_the_images(best):
    offsets = best.rewards - brightness(best)
    assert offsets[0] == pytest.approx(offsets[3], abs=1e-5)  # of one class
    assert offsets[0] != pytest.approx(offsets[1], abs=1e-3)


def test_the_seed_given_back_makes_the_image_again(judged_pipeline, best):
    again = judged_pipeline.generate(LABELS, best.seeds.tolist())
    np.testing.assert_array_equal(again.images, best.images)


def test_the_cost_is_counted(best, candidates):
    rows = sum(result.timings.backbone_rows for result in candidates)
    assert best.timings.backbone_rows == rows
    assert best.timings.seconds["reward"] > 0


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_do_not_change_the_choice(judged_pipeline, best, batch_size):
    again = judged_pipeline.generate(LABELS, SEEDS, best_of=COUNT, batch_size=batch_size)
    np.testing.assert_array_equal(again.images, best.images)


def test_the_order_of_channels_and_of_bytes(judged_pipeline, best):
    seen = {}

    class Spy:
        def run(self, feeds):
            seen.update(feeds)
            return {"reward": np.zeros(len(feeds["labels"]), np.float32)}

    graphs = judged_pipeline.sampler.assembly.sessions
    original, graphs["reward"] = graphs["reward"], Spy()
    first = judged_pipeline.generate(LABELS, SEEDS, best_of=2)
    graphs["reward"] = original
    assert seen["image"].shape == (4, 1, 4, 4)
    assert seen["image"].dtype == np.float32
    np.testing.assert_array_equal(seen["labels"], LABELS)
    np.testing.assert_allclose(seen["image"] * 255, np.rint(seen["image"] * 255), atol=1e-4)
    np.testing.assert_array_equal(first.seeds, SEEDS)  # the first wins where nothing is better


def test_a_candidate_without_a_reward_never_wins(judged_pipeline):
    request_seeds = np.array(SEEDS)
    rewards = iter([[np.nan, 1, np.nan, 0], [0.5, np.nan, np.nan, -1]])
    request = make_request(judged_pipeline.manifest, LABELS, SEEDS, SamplingParams(best_of=2))
    keeper = Keeper(
        request,
        lambda part: judged_pipeline.generate(LABELS, part.seeds.tolist()),
        lambda result: np.array(next(rewards), np.float32),
    )
    kept = keeper.best_of(2)
    derived = candidate_seeds(request_seeds, 1)
    expected = [derived[0], *request_seeds[1:]]
    np.testing.assert_array_equal(kept.seeds, expected)
    np.testing.assert_array_equal(kept.rewards, [0.5, 1, np.nan, 0])


def test_more_candidates_go_on_from_fewer(judged_pipeline, best):
    request = make_request(judged_pipeline.manifest, LABELS, SEEDS, SamplingParams(best_of=COUNT))
    keeper, made = judged_pipeline.sampler.keeper(request), []
    make = keeper._make
    keeper._make = lambda part: made.append(part.seeds) or make(part)
    for number in (1, 2, COUNT):
        kept = keeper.best_of(number)
        assert len(made) == number
        fewer = judged_pipeline.generate(LABELS, SEEDS, best_of=number)
        np.testing.assert_array_equal(kept.images, fewer.images)
    np.testing.assert_array_equal(kept.images, best.images)
    np.testing.assert_array_equal(kept.rewards, best.rewards)


def test_candidates_may_come_in_any_order():
    nan = np.nan
    table = [[nan, 1, nan, 0, 2], [0.5, 1, nan, -1, 2], [0.5, nan, nan, 1, nan]]
    rewards = np.array(table, np.float32)
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)):
        best = Best(5)
        for number in order:
            best.offer(number, rewards[number])
        np.testing.assert_array_equal(best.numbers, [1, 0, 0, 2, 0])
        np.testing.assert_array_equal(best.rewards, [0.5, 1, nan, 1, 2])


def test_an_offer_says_where_it_is_kept():
    best = Best(3)
    assert best.offer(1, np.array([1, 1, np.nan], np.float32)).all()
    assert best.offer(0, np.array([0, 1, np.nan], np.float32)).tolist() == [False, True, True]
    assert best.offer(2, np.array([1, 2, -9], np.float32)).tolist() == [False, True, True]


def test_a_failed_sample_is_reported(tmp_path):
    folder = build_tiny_engine(tmp_path / "engine", Options(judges=True, nan_logits=1))
    broken = adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS, best_of=3)
    assert broken.failures == {1: 1}
    assert np.isnan(broken.rewards[1])
    assert np.isfinite(broken.rewards[[0, 2, 3]]).all()


def test_with_refinement_and_fidelity(judged_pipeline):
    choices = {"refine": 2, "fidelity": 0.5}
    both = judged_pipeline.generate(LABELS, SEEDS, best_of=2, **choices)
    again = judged_pipeline.generate(LABELS, both.seeds.tolist(), **choices)
    np.testing.assert_array_equal(both.images, again.images)


def test_a_static_schedule_has_a_best_too(judged_pipeline):
    best = judged_pipeline.generate(LABELS, SEEDS, best_of=2, schedule="static")
    plain = judged_pipeline.generate(LABELS, SEEDS, schedule="static")
    assert (brightness(best) >= brightness(plain)).all()
    assert (brightness(best) > brightness(plain)).any()
