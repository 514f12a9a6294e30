"""Which graphs each family's engine has, and example inputs to trace them with."""

from __future__ import annotations

import torch
from torch import nn

from adagen_rt.export.examples import ROWS, integers, labels, masked, normal, plan_rows
from adagen_rt.export.networks import Networks
from adagen_rt.export.onnx_export import GraphPlan, Method
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.var_graphs import var_graphs, var_policy
from adagen_rt.models.policy import PolicyNetwork


def plan_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """The graphs of an engine, small ones first so that faults show early."""
    families = {"maskgit": _maskgit, "var": var_graphs, "dit": _diffusion, "sit": _diffusion}
    graphs = families[recipe.family](recipe, networks)
    return graphs if networks.policy is None else [plan_policy(recipe, networks.policy), *graphs]


def _maskgit(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    config = recipe.backbone
    tokens = integers(config.vocabulary, ROWS, config.tokens)
    return [
        plan_rows(
            "decoder", Method(networks.decoder, "decode_tokens"), {"tokens": tokens}, "image"
        ),
        plan_rows(
            "backbone",
            networks.backbone,
            {"tokens": masked(tokens, config.vocabulary), "labels": labels(recipe)},
            "logits",
            "features",
        ),
    ]


def _diffusion(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    config = recipe.backbone
    x = normal(ROWS, config.channels, config.size, config.size)
    return [
        plan_rows("decoder", Method(networks.decoder, "decode"), {"latents": x}, "image"),
        plan_rows(
            "backbone",
            networks.backbone,
            {"x": x, "t": torch.linspace(0.25, 0.75, ROWS), "labels": labels(recipe)},
            "prediction",
            "features",
        ),
    ]


def plan_policy(recipe: Recipe, policy: PolicyNetwork) -> GraphPlan:
    """The policy's graph, tabulated for the calls of the recipe's schedule."""
    steps, width = recipe.schedule.steps, recipe.backbone.width
    tabulate_steps(policy, steps if recipe.family in ("maskgit", "var") else steps + 1)
    if recipe.family == "var":
        return var_policy(recipe, policy)
    features = normal(ROWS, policy.config.grid**2, width)
    return plan_rows("policy", policy, {"features": features, "step": torch.arange(ROWS)}, "raw")


def tabulate_steps(policy: PolicyNetwork, calls: int) -> None:
    """Replace what depends on the step alone, embedding and modulations, by tables.

    Exact, and most of the policy's weights and time at small batches are in there.
    """
    with torch.no_grad():
        embedding = policy.t_embedder(torch.arange(calls))
        for norm in (policy.adaLN1, policy.adaLN2, policy.adaLN3):
            norm.adaLN_modulation = nn.Embedding.from_pretrained(norm.adaLN_modulation(embedding))
    policy.register_module("t_embedder", nn.Identity())
