"""Example inputs to trace and check graphs with, the same on every machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.condition import ConditionSpec
from adagen_rt.engine.contracts import GraphContract
from adagen_rt.export.onnx_export import GraphPlan, Method
from adagen_rt.models import random

#: Rows of the example inputs; with one row, the tracer would take the axis to be constant.
ROWS = 2


@dataclass(frozen=True)
class Examples:
    """Inputs of a graph, in any order.

    Attributes:
        inputs: Example inputs by name; dynamic axes have at least 2 entries.
        dynamic: Named dynamic axes of each input; None for rows in the first axis of each.
        calls: Inputs of every call for one image, where calls differ in size.
    """

    inputs: dict[str, Tensor]
    dynamic: dict[str, dict[int, str]] | None = None
    calls: tuple[dict[str, Tensor], ...] = ()


def make_plan(
    name: str, function: Callable[..., Any], contract: GraphContract, examples: Examples
) -> GraphPlan:
    """Plan the export of a graph, inputs and outputs in the order of its contract.

    Args:
        name: The graph.
        function: Module, or method of a module, that computes the graph.
        contract: Its tensors.
        examples: Inputs to trace it with.
    """
    names = [key for key in contract.inputs if key in examples.inputs]
    dynamic = examples.dynamic
    return GraphPlan(
        name=name,
        module=_as_module(function),
        inputs={key: examples.inputs[key] for key in names},
        outputs=contract.outputs,
        dynamic={key: {0: "rows"} for key in names} if dynamic is None else dynamic,
        calls=tuple({key: call[key] for key in names} for call in examples.calls),
    )


def _as_module(function: Any) -> nn.Module:
    if isinstance(function, nn.Module):
        return function
    return Method(function.__self__, function.__name__)


def normal(*shape: int) -> Tensor:
    """Draw standard normal numbers."""
    return random.normal(shape, random.keyed_generator())


def uniform(*shape: int) -> Tensor:
    """Draw numbers from 0 to 1."""
    return random.uniform(shape, random.keyed_generator())


def integers(high: int, *shape: int) -> Tensor:
    """Draw integers from 0 to `high - 1`."""
    return random.integers(high, shape, random.keyed_generator())


def masked(tokens: Tensor, mask_id: int) -> Tensor:
    """Mask about half of the tokens."""
    return torch.where(uniform(*tokens.shape) < 0.5, mask_id, tokens)


def condition_rows(spec: ConditionSpec, *, null: bool = True) -> dict[str, Tensor]:
    """Make rows of a condition.

    Args:
        spec: The kind of condition.
        null: Whether the second row is the first one's null twin, where guidance has one.
    """
    rows = {name: torch.from_numpy(values) for name, values in spec.trial(ROWS).items()}
    if not null or spec.copies == 1:
        return {name: rows[name] for name in spec.tensors}
    first = {name: values[: ROWS // 2] for name, values in rows.items()}
    twins = spec.null(first)
    return {name: torch.cat([first[name], twins[name]]) for name in spec.tensors}
