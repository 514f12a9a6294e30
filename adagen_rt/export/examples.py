"""Example inputs to trace and check graphs with, the same on every machine."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe

#: Rows of the example inputs: more than one, or the tracer takes the axis for constant.
ROWS = 2


def plan_rows(name: str, module: nn.Module, inputs: dict[str, Tensor], *outputs: str) -> GraphPlan:
    """A graph in which the first axis of every input is the batch."""
    dynamic = {key: {0: "rows"} for key in inputs}
    return GraphPlan(name, module, inputs, outputs, dynamic)


def normal(*shape: int) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(shape, generator=_generator())


def uniform(*shape: int) -> Tensor:
    """Numbers from 0 to 1."""
    return torch.rand(shape, generator=_generator())


def integers(high: int, *shape: int) -> Tensor:
    """Integers from 0 to `high - 1`."""
    return torch.randint(high, shape, generator=_generator())


def masked(tokens: Tensor, mask_id: int) -> Tensor:
    """Tokens of which about half are masked."""
    return torch.where(torch.rand(tokens.shape, generator=_generator()) < 0.5, mask_id, tokens)


def labels(recipe: Recipe) -> Tensor:
    """One real class and the null class."""
    return torch.tensor([0, recipe.class_count])


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
