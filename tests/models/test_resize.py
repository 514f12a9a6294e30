import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from adagen_rt.extent import Extent
from adagen_rt.models.resize import area_matrix, bicubic_matrix

SIDES = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16]


def apply(matrix, maps, size):
    return (maps.flatten(2) @ matrix.double().T).unflatten(2, size)


@pytest.mark.parametrize("target", [7, 16])
@pytest.mark.parametrize("side", SIDES)
def test_bicubic_is_torch_interpolate(side, target):
    source, target = Extent(side, side), Extent(target, target)
    maps = torch.randn(2, 3, *source, dtype=torch.float64)
    expected = F.interpolate(maps, size=target, mode="bicubic")
    resized = apply(bicubic_matrix(source, target), maps, target)
    np.testing.assert_allclose(resized, expected, atol=1e-6)


@pytest.mark.parametrize("side", SIDES)
def test_area_is_adaptive_average(side):
    maps = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    expected = F.adaptive_avg_pool2d(maps, side)
    np.testing.assert_allclose(
        apply(area_matrix(Extent(16, 16), Extent(side, side)), maps, (side, side)),
        expected,
        atol=1e-6,
    )


def test_the_same_size_is_the_identity():
    same = Extent(5, 7)
    np.testing.assert_array_equal(bicubic_matrix(same, same), np.eye(35))
    np.testing.assert_array_equal(area_matrix(same, same), np.eye(35))


def test_height_and_width_are_resized_each_by_itself():
    source, target = Extent(6, 10), Extent(9, 4)
    maps = torch.randn(2, 3, *source, dtype=torch.float64)
    cubic = apply(bicubic_matrix(source, target), maps, target)
    np.testing.assert_allclose(cubic, F.interpolate(maps, target, mode="bicubic"), atol=1e-6)
    area = apply(area_matrix(source, target), maps, target)
    np.testing.assert_allclose(area, F.adaptive_avg_pool2d(maps, target), atol=1e-6)


def test_matrices_are_real_under_the_meta_device():
    with torch.device("meta"):
        assert bicubic_matrix(Extent(2, 2), Extent(4, 4)).device.type == "cpu"
