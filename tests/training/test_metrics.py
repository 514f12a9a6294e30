import numpy as np
import pytest

from adagen_rt.errors import InputError
from adagen_rt.training.metrics import Gaussian, class_accuracy, fid, frechet_distance


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
