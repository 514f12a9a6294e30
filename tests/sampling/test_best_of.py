import numpy as np
import pytest
from tiny_engine import Options, build_tiny_engine

import adagen_rt
from adagen_rt.sampling.best_of import candidate_seeds, keep_best

LABELS, SEEDS, COUNT = [0, 1, 2, 0], [5, 6, 7, 2**63 - 1], 4


@pytest.fixture(scope="module")
def best(judged_generator):
    return judged_generator.generate(LABELS, SEEDS, best_of=COUNT)


@pytest.fixture(scope="module")
def candidates(judged_generator):
    """Each candidate by itself."""
    seeds = [candidate_seeds(np.array(SEEDS), number) for number in range(COUNT)]
    return [judged_generator.generate(LABELS, part.tolist()) for part in seeds]


def brightness(result):
    """What the tiny reward model likes, up to a number for the class."""
    return result.images.mean(axis=(1, 2, 3)) / 255


def test_one_candidate_is_no_choice(judged_generator, candidates):
    same = judged_generator.generate(LABELS, SEEDS, best_of=1)
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


def test_the_seed_given_back_makes_the_image_again(judged_generator, best):
    again = judged_generator.generate(LABELS, best.seeds.tolist())
    np.testing.assert_array_equal(again.images, best.images)


def test_the_cost_is_counted(best, candidates):
    rows = sum(result.timings.backbone_rows for result in candidates)
    assert best.timings.backbone_rows == rows
    assert best.timings.seconds["reward"] > 0


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_do_not_change_the_choice(judged_generator, best, batch_size):
    again = judged_generator.generate(LABELS, SEEDS, best_of=COUNT, batch_size=batch_size)
    np.testing.assert_array_equal(again.images, best.images)


def test_the_order_of_channels_and_of_bytes(judged_generator, best):
    seen = {}

    class Spy:
        def run(self, feeds):
            seen.update(feeds)
            return {"reward": np.zeros(len(feeds["labels"]), np.float32)}

    graphs = judged_generator._graphs
    original, graphs["reward"] = graphs["reward"], Spy()
    first = judged_generator.generate(LABELS, SEEDS, best_of=2)
    graphs["reward"] = original
    assert seen["image"].shape == (4, 1, 4, 4)
    assert seen["image"].dtype == np.float32
    np.testing.assert_array_equal(seen["labels"], LABELS)
    np.testing.assert_allclose(seen["image"] * 255, np.rint(seen["image"] * 255), atol=1e-4)
    np.testing.assert_array_equal(first.seeds, SEEDS)  # the first wins where nothing is better


def test_a_candidate_without_a_reward_never_wins(judged_generator):
    request_seeds = np.array(SEEDS)
    rewards = iter([[np.nan, 1, np.nan, 0], [0.5, np.nan, np.nan, -1]])
    from adagen_rt.sampling.request import make_request

    request = make_request(judged_generator.manifest, LABELS, SEEDS, None, best_of=2)
    kept = keep_best(
        request,
        lambda part: judged_generator.generate(LABELS, part.seeds.tolist()),
        lambda result: np.array(next(rewards), np.float32),
    )
    derived = candidate_seeds(request_seeds, 1)
    expected = [derived[0], *request_seeds[1:]]
    np.testing.assert_array_equal(kept.seeds, expected)
    np.testing.assert_array_equal(kept.rewards, [0.5, 1, np.nan, 0])


def test_a_failed_sample_is_reported(tmp_path):
    folder = build_tiny_engine(tmp_path / "engine", Options(judges=True, nan_logits=1))
    broken = adagen_rt.load(folder, threads=1).generate(LABELS, SEEDS, best_of=3)
    assert broken.failures == {1: 1}
    assert np.isnan(broken.rewards[1])
    assert np.isfinite(broken.rewards[[0, 2, 3]]).all()


def test_with_refinement_and_fidelity(judged_generator):
    choices = {"refine": 2, "fidelity": 0.5}
    both = judged_generator.generate(LABELS, SEEDS, best_of=2, **choices)
    again = judged_generator.generate(LABELS, both.seeds.tolist(), **choices)
    np.testing.assert_array_equal(both.images, again.images)


def test_a_static_schedule_has_a_best_too(judged_generator):
    best = judged_generator.generate(LABELS, SEEDS, best_of=2, schedule="static")
    plain = judged_generator.generate(LABELS, SEEDS, schedule="static")
    assert (brightness(best) >= brightness(plain)).all()
    assert (brightness(best) > brightness(plain)).any()
