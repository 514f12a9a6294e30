"""Example inputs of VAR's graphs; each graph serves all scales, which positions select."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from adagen_rt.condition import ConditionSpec
from adagen_rt.export.examples import ROWS, Examples, condition_rows, integers, normal
from adagen_rt.families.var.spec import VARSpec


def var_examples(
    spec: VARSpec, condition: ConditionSpec, compute: Callable[..., Any]
) -> dict[str, Examples]:
    """Make example inputs of decoder, refinement, condition and backbone.

    Args:
        spec: Sizes of the networks.
        condition: The kind of condition.
        compute: The condition's graph.
    """
    asked = condition_rows(condition)
    f_hat = normal(ROWS, spec.code_width, *spec.scales[-1])
    with torch.no_grad():
        given: dict[str, Tensor] = compute(**asked)._asdict()
    return {
        "decoder": Examples({"latents": f_hat}),
        "refine": _refine(spec, f_hat),
        "condition": Examples(asked),
        "backbone": _backbone(spec, given),
    }


def policy_examples(spec: VARSpec) -> Examples:
    """Make example inputs of a policy over feature maps of any scale."""

    def inputs(past: Tensor, now: Tensor) -> dict[str, Tensor]:
        features = normal(ROWS, len(now), spec.width)
        return {"features": features, "positions": now, "step": torch.arange(ROWS)}

    return Examples(
        inputs=inputs(*_example_scale(spec)),
        dynamic={
            "features": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "step": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(spec)),
    )


def _backbone(spec: VARSpec, condition: dict[str, Tensor]) -> Examples:
    def inputs(past: Tensor, now: Tensor, cache: Any = torch.empty) -> dict[str, Tensor]:
        return {
            "inputs": normal(ROWS, len(now), spec.code_width),
            "positions": now,
            "cache": cache(len(past), spec.layers, 2, ROWS, spec.width),
            **condition,
        }

    return Examples(
        inputs=inputs(*_example_scale(spec), cache=normal),
        dynamic={
            "inputs": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "cache": {0: "past", 3: "rows"},
            "modulation": {1: "rows"},
            "head_modulation": {0: "rows"},
            "start": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(spec)),
    )


def _refine(spec: VARSpec, f_hat: Tensor) -> Examples:
    def inputs(past: Tensor, now: Tensor) -> dict[str, Tensor]:
        return {
            "tokens": integers(spec.vocabulary, ROWS, len(now)),
            "positions": now,
            "next_positions": torch.arange(len(past) + 1),
            "phi": torch.tensor(0),
            "f_hat": f_hat,
        }

    return Examples(
        inputs=inputs(*_example_scale(spec)),
        dynamic={
            "tokens": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "next_positions": {0: "next_tokens"},
            "f_hat": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(spec)),
    )


def _scales(spec: VARSpec) -> list[tuple[Tensor, Tensor]]:
    """List, for every scale, the positions before it and its own positions."""
    return [(torch.arange(begin), torch.arange(begin, end)) for begin, end in pairwise(spec.bounds)]


def _example_scale(spec: VARSpec) -> tuple[Tensor, Tensor]:
    """Find the first scale with several positions, and several before it."""
    scales = _scales(spec)
    return next((s for s in scales if len(s[0]) > 1 and len(s[1]) > 1), scales[-1])
