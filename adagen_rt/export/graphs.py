"""Which graphs each family's engine has, and example inputs to trace them with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from adagen_rt.export.networks import Networks
from adagen_rt.export.onnx_export import GraphPlan, Method
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.policy import MultiScalePolicy, PolicyNetwork

#: Rows of the example inputs: more than one, or the tracer takes the axis for constant.
ROWS = 2


def plan_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """The graphs of an engine, small ones first so that faults show early."""
    families = {"maskgit": _maskgit, "var": _var, "dit": _diffusion, "sit": _diffusion}
    return families[recipe.family](recipe, networks)


def _maskgit(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    config = recipe.backbone
    tokens = _integers(config.vocabulary, ROWS, config.tokens)
    return [
        *_policies(recipe, networks),
        _rows("decoder", Method(networks.decoder, "decode_tokens"), {"tokens": tokens}, "image"),
        _rows(
            "backbone",
            networks.backbone,
            {"tokens": _masked(tokens, config.vocabulary), "labels": _labels(recipe)},
            "logits",
            "features",
        ),
    ]


def _diffusion(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    config = recipe.backbone
    x = _normal(ROWS, config.channels, config.size, config.size)
    return [
        *_policies(recipe, networks),
        _rows("decoder", Method(networks.decoder, "decode"), {"latents": x}, "image"),
        _rows(
            "backbone",
            networks.backbone,
            {"x": x, "t": torch.linspace(0.25, 0.75, ROWS), "labels": _labels(recipe)},
            "prediction",
            "features",
        ),
    ]


def _var(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    decoder: Any = networks.decoder
    side, width = recipe.backbone.scales[-1], recipe.backbone.code_width
    f_hat = _normal(ROWS, width, side, side)
    return [
        *_policies(recipe, networks),
        _rows("decoder", Method(decoder, "decode"), {"latents": f_hat}, "image"),
        _var_refine(recipe, decoder.quantize, f_hat),
        _rows(
            "condition",
            Method(networks.backbone, "condition"),
            {"labels": _labels(recipe)},
            "modulation",
            "head_modulation",
            "start",
        ),
        _var_backbone(recipe, networks),
    ]


def _var_backbone(recipe: Recipe, networks: Networks) -> GraphPlan:
    config = recipe.backbone
    past, now = _second_scale(recipe)
    with torch.no_grad():
        condition: Any = networks.backbone
        modulation, head_modulation, start = condition.condition(_labels(recipe))
    return GraphPlan(
        name="backbone",
        module=networks.backbone,
        inputs={
            "inputs": _normal(ROWS, len(now), config.code_width),
            "positions": now,
            "cache": _normal(len(past), config.depth, 2, ROWS, config.width),
            "modulation": modulation,
            "head_modulation": head_modulation,
            "start": start,
        },
        outputs=("logits", "features", "new_cache"),
        dynamic={
            "inputs": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "cache": {0: "past", 3: "rows"},
            "modulation": {1: "rows"},
            "head_modulation": {0: "rows"},
            "start": {0: "rows"},
        },
    )


def _var_refine(recipe: Recipe, quantizer: nn.Module, f_hat: Tensor) -> GraphPlan:
    past, now = _second_scale(recipe)
    return GraphPlan(
        name="refine",
        module=Method(quantizer, "refine"),
        inputs={
            "tokens": _integers(recipe.backbone.vocabulary, ROWS, len(now)),
            "positions": now,
            "next_positions": torch.arange(len(past) + 1),
            "phi": torch.tensor(0),
            "f_hat": f_hat,
        },
        outputs=("next_f_hat", "next_inputs"),
        dynamic={
            "tokens": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "next_positions": {0: "next_tokens"},
            "f_hat": {0: "rows"},
        },
        typed=False,
    )


def _policies(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """The policy's graph, if the engine has a policy."""
    return [] if networks.policy is None else [plan_policy(recipe, networks.policy)]


def plan_policy(recipe: Recipe, policy: PolicyNetwork) -> GraphPlan:
    """The policy's graph, tabulated for the calls of the recipe's schedule."""
    steps, width = recipe.schedule.steps, recipe.backbone.width
    step = torch.arange(ROWS)
    # Every action hangs on these few numbers, so they keep float32 in any engine.
    if recipe.family != "var":
        tabulate_steps(policy, steps if recipe.family == "maskgit" else steps + 1)
        features = _normal(ROWS, policy.config.grid**2, width)
        return _rows("policy", policy, {"features": features, "step": step}, "raw", typed=False)
    tabulate_steps(policy, steps)
    _, now = _second_scale(recipe)
    return GraphPlan(
        name="policy",
        module=MultiScalePolicy(policy, recipe.backbone.scales),
        inputs={"features": _normal(ROWS, len(now), width), "positions": now, "step": step},
        outputs=("raw",),
        dynamic={
            "features": {0: "rows", 1: "tokens"},
            "positions": {0: "tokens"},
            "step": {0: "rows"},
        },
        typed=False,
    )


def tabulate_steps(policy: PolicyNetwork, calls: int) -> None:
    """Replace what depends on the step alone, embedding and modulations, by tables.

    Exact, and most of the policy's weights and time at small batches are in there.
    """
    with torch.no_grad():
        embedding = policy.t_embedder(torch.arange(calls))
        for norm in (policy.adaLN1, policy.adaLN2, policy.adaLN3):
            norm.adaLN_modulation = nn.Embedding.from_pretrained(norm.adaLN_modulation(embedding))
    policy.t_embedder = nn.Identity()


def _rows(
    name: str, module: nn.Module, inputs: dict[str, Tensor], *outputs: str, typed: bool = True
) -> GraphPlan:
    """A graph in which the first axis of every input is the batch."""
    dynamic = {key: {0: "rows"} for key in inputs}
    return GraphPlan(name, module, inputs, outputs, dynamic, typed)


def _second_scale(recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Positions before the first scale of more than one token, and of that scale."""
    past = torch.arange(0)
    for side in recipe.backbone.scales:
        now = torch.arange(len(past), len(past) + side * side)
        if side > 1 and len(past) > 1:
            return past, now
        past = torch.arange(len(past) + side * side)
    return past, now


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=_generator())


def _integers(high: int, *shape: int) -> Tensor:
    return torch.randint(high, shape, generator=_generator())


def _masked(tokens: Tensor, mask_id: int) -> Tensor:
    return torch.where(torch.rand(tokens.shape, generator=_generator()) < 0.5, mask_id, tokens)


def _labels(recipe: Recipe) -> Tensor:
    """One real class and the null class."""
    return torch.tensor([0, recipe.class_count])
