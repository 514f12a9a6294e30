import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from adagen_rt.models.resize import area_matrix, bicubic_matrix

SIDES = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]


def apply(matrix, maps, side):
    return (maps.flatten(2) @ matrix.double().T).unflatten(2, (side, side))


@pytest.mark.parametrize("target", [7, 16])
@pytest.mark.parametrize("side", SIDES)
def test_bicubic_is_torch_interpolate(side, target):
    maps = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected = F.interpolate(maps, size=(target, target), mode="bicubic")
    resized = apply(bicubic_matrix(side, target), maps, target)
    np.testing.assert_allclose(resized, expected, atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_area_is_adaptive_average(side):
    maps = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(maps, side)
    np.testing.assert_allclose(apply(area_matrix(16, side), maps, side), expected, atol=1e-6)


def test_the_same_size_is_the_identity():
    np.testing.assert_array_equal(bicubic_matrix(5, 5), np.eye(25))
    np.testing.assert_array_equal(area_matrix(5, 5), np.eye(25))


def test_matrices_are_real_under_the_meta_device():
    with torch.device("meta"):
        assert bicubic_matrix(2, 4).device.type == "cpu"
