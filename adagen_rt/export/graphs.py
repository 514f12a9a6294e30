"""Which graphs each family's engine has, and example inputs to trace them with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from adagen_rt.export.examples import ROWS, integers, labels, masked, normal, plan_rows
from adagen_rt.export.networks import Networks
from adagen_rt.export.onnx_export import GraphPlan, Method
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.reward import plan_reward
from adagen_rt.families.var.export import var_graphs, var_policy
from adagen_rt.models.policy import PolicyNetwork


def plan_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """The graphs of an engine, small ones first so that faults show early."""
    families = {"maskgit": _maskgit, "var": var_graphs, "dit": _diffusion, "sit": _diffusion}
    graphs = families[recipe.family](recipe, networks)
    optional = networks.optional()
    small = [
        plan_policy(recipe, network, name)
        for name, network in optional.items()
        if isinstance(network, PolicyNetwork)
    ]
    if networks.reward is not None:
        small.append(plan_reward(recipe, networks.reward))
    return [*small, *graphs]


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


def plan_policy(recipe: Recipe, network: PolicyNetwork, name: str = "policy") -> GraphPlan:
    """A policy's or critic's graph, tabulated for the calls of the recipe's schedule."""
    steps, width = recipe.schedule.steps, recipe.backbone.width
    tabulate_steps(network, steps if recipe.family in ("maskgit", "var") else steps + 1)
    if recipe.family == "var":
        plan = var_policy(recipe, network, name)
    else:
        inputs = {
            "features": normal(ROWS, network.config.grid**2, width),
            "step": torch.arange(ROWS),
        }
        plan = plan_rows(name, network, inputs, "raw")
    if name != "critic":
        return plan
    return replace(plan, module=FirstColumn(plan.module), outputs=("value",))


class FirstColumn(nn.Module):
    """A module of one output column (B, 1), without its second axis."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        """(B,)."""
        column: Tensor = self.module(*inputs)
        return column[:, 0]


def tabulate_steps(policy: PolicyNetwork, calls: int) -> None:
    """Replace what depends on the step alone, embedding and modulations, by tables.

    Exact, and most of the policy's weights and time at small batches are in there.
    """
    with torch.no_grad():
        embedding = policy.t_embedder(torch.arange(calls))
        for norm in (policy.adaLN1, policy.adaLN2, policy.adaLN3):
            norm.adaLN_modulation = nn.Embedding.from_pretrained(norm.adaLN_modulation(embedding))
    policy.register_module("t_embedder", nn.Identity())
