"""The graphs of a VAR engine, one for all scales: positions say which scale it is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.export.examples import ROWS, integers, labels, normal, plan_rows
from adagen_rt.export.networks import Networks
from adagen_rt.export.onnx_export import GraphPlan, Method
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.policy import MultiScalePolicy, PolicyNetwork


def var_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """Decoder, refinement, condition and backbone."""
    decoder: Any = networks.decoder
    side, width = recipe.backbone.scales[-1], recipe.backbone.code_width
    f_hat = normal(ROWS, width, side, side)
    return [
        plan_rows("decoder", Method(decoder, "decode"), {"latents": f_hat}, "image"),
        _refine(recipe, decoder.quantize, f_hat),
        plan_rows(
            "condition",
            Method(networks.backbone, "condition"),
            {"labels": labels(recipe)},
            "modulation",
            "head_modulation",
            "start",
        ),
        _backbone(recipe, networks.backbone),
    ]


def var_policy(recipe: Recipe, policy: PolicyNetwork, name: str) -> GraphPlan:
    """A policy over feature maps of any scale."""

    def inputs(past: Tensor, now: Tensor) -> dict[str, Tensor]:
        features = normal(ROWS, len(now), recipe.backbone.width)
        return {"features": features, "positions": now, "step": torch.arange(ROWS)}

    return GraphPlan(
        name=name,
        module=MultiScalePolicy(policy, recipe.backbone.scales),
        inputs=inputs(*_example_scale(recipe)),
        outputs=("raw",),
        dynamic={
            "features": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "step": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(recipe)),
    )


def _backbone(recipe: Recipe, backbone: Any) -> GraphPlan:
    config = recipe.backbone
    with torch.no_grad():
        condition: dict[str, Tensor] = backbone.condition(labels(recipe))._asdict()

    def inputs(past: Tensor, now: Tensor, cache: Any = torch.empty) -> dict[str, Tensor]:
        return {
            "inputs": normal(ROWS, len(now), config.code_width),
            "positions": now,
            "cache": cache(len(past), config.depth, 2, ROWS, config.width),
            **condition,
        }

    return GraphPlan(
        name="backbone",
        module=backbone,
        inputs=inputs(*_example_scale(recipe), cache=normal),
        outputs=("logits", "features", "new_cache"),
        dynamic={
            "inputs": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "cache": {0: "past", 3: "rows"},
            "modulation": {1: "rows"},
            "head_modulation": {0: "rows"},
            "start": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(recipe)),
    )


def _refine(recipe: Recipe, quantizer: nn.Module, f_hat: Tensor) -> GraphPlan:
    def inputs(past: Tensor, now: Tensor) -> dict[str, Tensor]:
        return {
            "tokens": integers(recipe.backbone.vocabulary, ROWS, len(now)),
            "positions": now,
            "next_positions": torch.arange(len(past) + 1),
            "phi": torch.tensor(0),
            "f_hat": f_hat,
        }

    return GraphPlan(
        name="refine",
        module=Method(quantizer, "refine"),
        inputs=inputs(*_example_scale(recipe)),
        outputs=("next_f_hat", "next_inputs"),
        dynamic={
            "tokens": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "next_positions": {0: "next_tokens"},
            "f_hat": {0: "rows"},
        },
        calls=tuple(inputs(*scale) for scale in _scales(recipe)),
    )


def _scales(recipe: Recipe) -> list[tuple[Tensor, Tensor]]:
    """Of every scale, the positions before it and its own."""
    spans, begin = [], 0
    for side in recipe.backbone.scales:
        spans.append((torch.arange(begin), torch.arange(begin, begin + side * side)))
        begin += side * side
    return spans


def _example_scale(recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The first scale with several positions, and several before it."""
    scales = _scales(recipe)
    return next((s for s in scales if len(s[0]) > 1 and len(s[1]) > 1), scales[-1])
