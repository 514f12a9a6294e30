"""Seeded weights: a network of full size or small, filled the same way on every machine.

Tests against the published system's numbers need no published weights: both sides fill
their tensors by this rule, which depends only on names and shapes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn, no_grad
from torch import from_numpy as tensor_from_numpy

KEPT_BUFFERS = frozenset({"zero_k_bias", "attn_bias_for_masking", "running_variance"})
"""Last parts of the names of floating tensors that stay as they were built: two of VAR's, and
variances, which are not negative."""


def rng(tag: str) -> np.random.Generator:
    """Return the generator that a tag names: PCG64 seeded with the tag's CRC-32."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(tag.encode())))


def seeded_array(tag: str, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the seeded values of one tensor.

    Args:
        tag: Run and module, as `run/module`.
        name: The tensor's name in its state dict.
        shape: The tensor's shape.
    """
    noise = rng(f"{tag}/{name}").standard_normal(shape, dtype=np.float32)
    if len(shape) >= 2:
        return (noise / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
    scale = np.float32(0.1)
    return np.float32(1) + scale * noise if name.endswith("weight") else scale * noise


def seeded_fill(
    module: nn.Module,
    tag: str,
    module_tag: str,
    *,
    keep: Collection[str] = KEPT_BUFFERS,
    scales: dict[str, float] | None = None,
) -> None:
    """Fill a module in place with seeded values.

    Args:
        module: The module; its tensors are addressed by their state dict's names.
        tag: The run's tag.
        module_tag: The module's tag, for example `maskgit/backbone`.
        keep: Last parts of the names of floating tensors that are left as built.
        scales: Factors by tensor name, applied after the fill: an untrained policy's
            last layer is `{"linear3.weight": 0.5}`.
    """
    with no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and name.rpartition(".")[2] not in keep:
                factor = (scales or {}).get(name, 1.0)
                _fill(value, seeded_array(f"{tag}/{module_tag}", name, tuple(value.shape)), factor)


def _fill(target: Tensor, values: NDArray[Any], factor: float) -> None:
    target.copy_(tensor_from_numpy(np.asarray(values)))
    if factor != 1.0:
        target.mul_(factor)
