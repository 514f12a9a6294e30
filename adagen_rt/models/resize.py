"""Resizes of images and maps as constant matrices.

A resize is linear and separable, so a fixed pair of sizes is one product with the
Kronecker product of two 1-D matrices. A graph then needs no resize operator, whose
coordinate rules differ between engines, and resizes of several scales can share a
table that is gathered by position.

All matrices are built in float64 on the host, whatever the default device: they are
constants, not parameters, and stay real when a model is laid out on the meta device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adagen_rt.extent import Extent

Matrix: TypeAlias = NDArray[np.float64]

CUBIC_A = -0.75
"""The cubic kernel's free parameter, as in `torch.nn.functional.interpolate`."""


def bicubic_matrix(source: Extent, target: Extent) -> Tensor:
    """Make the bicubic resize (half-pixel centres, no antialias) of row-major maps.

    Returns:
        (target area, source area) float32.
    """
    return _separable(_cubic_weights, source, target)


def area_matrix(source: Extent, target: Extent) -> Tensor:
    """Make the area resize (adaptive average) of row-major maps.

    Returns:
        (target area, source area) float32.
    """
    return _separable(_area_weights, source, target)


def resize_square(images: Tensor, side: int, weights: Callable[[int, int], Tensor]) -> Tensor:
    """Resize images (N, c, H, W) to a square: two products, which every runtime has.

    Args:
        images: The images.
        side: Side of the square.
        weights: Makes the weights (target, source) of one axis, of those two sizes.
    """
    height, width = images.shape[-2:]
    if (height, width) == (side, side):
        return images
    rows, columns = (weights(size, side).to(images) for size in (height, width))
    return rows @ images @ columns.T


def _separable(weights: Callable[[int, int], Matrix], source: Extent, target: Extent) -> Tensor:
    rows, columns = weights(source.height, target.height), weights(source.width, target.width)
    return torch.from_numpy(np.kron(rows, columns).astype(np.float32))


def _cubic_kernel(distance: Matrix) -> Matrix:
    """Evaluate Keys' cubic convolution kernel (IEEE TASSP 29, 1981, equation 4)."""
    a, x = CUBIC_A, np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _cubic_weights(source: int, target: int) -> Matrix:
    weights = np.zeros((target, source))
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    for tap in range(-1, 3):
        index = np.floor(centres) + tap
        # Taps beyond the border read the border's pixel.
        column = np.clip(index, 0, source - 1).astype(np.int64)
        np.add.at(weights, (np.arange(target), column), _cubic_kernel(centres - index))
    return weights


def _area_weights(source: int, target: int) -> Matrix:
    weights = np.zeros((target, source))
    for row in range(target):
        start, stop = row * source // target, -(-(row + 1) * source // target)
        weights[row, start:stop] = 1.0 / (stop - start)
    return weights
