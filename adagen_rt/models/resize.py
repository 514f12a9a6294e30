"""Resizes of square maps as constant matrices.

A resize is linear and separable, so a fixed pair of sizes is one product with the
Kronecker square of a 1-D matrix. A graph then needs no resize operator, whose
coordinate rules differ between engines, and resizes of several scales can share a
table that is gathered by position.

All matrices are built in float64 on the host, whatever the default device: they are
constants, not parameters, and stay real when a model is laid out on the meta device.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CUBIC_A = -0.75
"""The cubic kernel's free parameter, as in `torch.nn.functional.interpolate`."""


def bicubic_matrix(source: int, target: int) -> Tensor:
    """Make the bicubic resize (half-pixel centres, no antialias) of row-major square maps.

    Args:
        source: Side of the input.
        target: Side of the output.

    Returns:
        (target ** 2, source ** 2) float32.
    """
    return _square(_cubic_weights(source, target))


def area_matrix(source: int, target: int) -> Tensor:
    """Make the area resize (adaptive average) of row-major square maps.

    Args:
        source: Side of the input.
        target: Side of the output.

    Returns:
        (target ** 2, source ** 2) float32.
    """
    return _square(_area_weights(source, target))


def _square(weights: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.kron(weights, weights).astype(np.float32))


def _cubic_kernel(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate Keys' cubic convolution kernel (IEEE TASSP 29, 1981, equation 4)."""
    a, x = CUBIC_A, np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _cubic_weights(source: int, target: int) -> NDArray[np.float64]:
    weights = np.zeros((target, source))
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    for tap in range(-1, 3):
        index = np.floor(centres) + tap
        # Taps beyond the border read the border's pixel.
        column = np.clip(index, 0, source - 1).astype(np.int64)
        np.add.at(weights, (np.arange(target), column), _cubic_kernel(centres - index))
    return weights


def _area_weights(source: int, target: int) -> NDArray[np.float64]:
    weights = np.zeros((target, source))
    for row in range(target):
        start, stop = row * source // target, -(-(row + 1) * source // target)
        weights[row, start:stop] = 1.0 / (stop - start)
    return weights
