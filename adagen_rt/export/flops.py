"""Counts of a graph's floating-point operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_flops(module: nn.Module, inputs: list[Tensor]) -> int:
    """Count the floating-point operations of one call, without executing them."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    counter = FlopCounterMode(display=False)
    # Attention is counted by its matrix products, which only this backend makes visible.
    with torch.no_grad(), fake, sdpa_kernel(SDPBackend.MATH), counter:
        module(*(fake.from_tensor(tensor) for tensor in inputs))
    return int(counter.get_total_flops())
