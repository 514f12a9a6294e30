"""Random tensors on the device of the generator that they come from."""

from __future__ import annotations

import torch
from torch import Tensor


def keyed_generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Make a generator of a device, seeded by several integers."""
    seed = 0
    for part in key:
        seed = (seed * 1_000_003 + part + 1) % (2**63)
    return torch.Generator(device).manual_seed(seed)


def uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw float32 numbers from 0 to below 1."""
    return torch.rand(shape, generator=generator, device=generator.device)


def normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw standard normal float32 numbers."""
    return torch.randn(shape, generator=generator, device=generator.device)


def integers(bound: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw int64 numbers from 0 to below `bound`."""
    return torch.randint(bound, shape, generator=generator, device=generator.device)
