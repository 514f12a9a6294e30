import numpy as np
import pytest

from adagen_rt.errors import InputError
from adagen_rt.evaluation.metrics import (
    Gaussian,
    class_accuracy,
    fid,
    frechet_distance,
    kernel_distance,
    precision_recall,
)


def features(count=4000, width=6, seed=0):
    return np.random.default_rng(seed).standard_normal((count, width))


def test_distance_of_a_set_to_itself_is_zero():
    assert abs(fid(features(), features())) < 1e-9


def test_distance_is_symmetric_and_positive():
    first, second = features(), 1.5 * features(seed=1) + 0.2
    assert fid(first, second) == pytest.approx(fid(second, first))
    assert fid(first, second) > 0.1


def test_a_shift_costs_its_squared_length():
    shift = np.arange(6.0)
    assert fid(features() + shift, features()) == pytest.approx((shift**2).sum())


def test_commuting_covariances_have_a_closed_form():
    rotation, _ = np.linalg.qr(features(6))
    first, second = np.arange(1.0, 7.0), np.arange(1.0, 7.0)[::-1] ** 2
    one = Gaussian(np.zeros(6), (rotation * first) @ rotation.T)
    two = Gaussian(np.ones(6), (rotation * second) @ rotation.T)
    expected = 6 + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert frechet_distance(one, two) == pytest.approx(expected)


def test_non_commuting_covariances_agree_with_the_matrix_root():
    a, b = features(6), features(6, seed=1)
    one, two = Gaussian(np.zeros(6), a @ a.T), Gaussian(np.zeros(6), b @ b.T)
    root = np.sqrt(np.linalg.eigvals(one.covariance @ two.covariance).real).sum()
    expected = np.trace(one.covariance) + np.trace(two.covariance) - 2 * root
    assert frechet_distance(one, two) == pytest.approx(expected)


def test_singular_covariances_are_fine():
    flat = features()
    flat[:, 3:] = 0.0
    assert abs(fid(flat, flat)) < 1e-9
    assert np.isfinite(fid(flat, features()))


@pytest.mark.parametrize("shape", [(4,), (1, 3), (0, 3)])
def test_too_few_features_are_refused(shape):
    with pytest.raises(InputError, match="features"):
        Gaussian.of(np.zeros(shape))


def test_accuracy_counts_matches():
    assert class_accuracy([1, 2, 3, 4], [1, 2, 0, 0]) == 0.5
    with pytest.raises(InputError, match="predicted"):
        class_accuracy([1, 2], [1])


def test_kernel_distance_of_one_distribution_is_about_zero_and_unbiased():
    values = [
        kernel_distance(features(200, seed=i), features(200, seed=100 + i)) for i in range(40)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
    assert min(values) < 0 < max(values)


def test_kernel_distance_matches_its_definition():
    first, second = features(7, 3), features(7, 3, seed=1) + 1

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    own = sum(
        kernel(x[i], x[j]) for x in (first, second) for i in range(7) for j in range(7) if i != j
    )
    cross = sum(kernel(a, b) for a in first for b in second)
    assert kernel_distance(first, second) == pytest.approx(own / 42 - 2 * cross / 49)


def test_kernel_distance_uses_whole_subsets_only():
    first, second = features(25), features(90, seed=1) + 0.5
    assert kernel_distance(first, second, subset=10) > 0
    assert kernel_distance(first, second, subset=10) == kernel_distance(first, second, subset=10)


def test_precision_and_recall_of_a_set_with_itself_are_one():
    assert precision_recall(features(50), features(50)) == (1.0, 1.0)


def test_precision_falls_with_outliers_and_recall_with_missing_modes():
    left, right = features(60, 2), features(60, 2, seed=1) + 100
    real = np.concatenate([left, right])
    half_covered = precision_recall(features(120, 2, seed=2), real)
    assert half_covered[0] > 0.9
    assert half_covered[1] < 0.55
    half_noise = precision_recall(np.concatenate([left, features(60, 2, seed=3) - 300]), left)
    assert half_noise == (0.5, 1.0)


def test_blocks_do_not_change_precision_and_recall():
    first, second = features(1300), features(1100, seed=1) * 1.2
    small = [
        np.sort(np.linalg.norm(s[:, None] - s[None], axis=2), axis=1)[:, 3] for s in (second, first)
    ]
    apart = np.linalg.norm(first[:, None] - second[None], axis=2)
    want = (apart <= small[0]).any(1).mean(), (small[1] >= apart.T).any(1).mean()
    assert precision_recall(first, second) == pytest.approx(want, abs=2e-3)


def test_too_few_neighbours_are_refused():
    with pytest.raises(InputError, match="more than 3"):
        precision_recall(features(3), features(30))
