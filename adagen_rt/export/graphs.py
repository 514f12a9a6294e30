"""The graphs of a recipe's engine, with example inputs to trace them with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from adagen_rt.engine.contracts import GraphContract
from adagen_rt.engine.manifest import Manifest
from adagen_rt.export.description import describe_model
from adagen_rt.export.examples import Examples, condition_rows, make_plan
from adagen_rt.export.networks import Networks
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.reward import plan_reward
from adagen_rt.models.policy import FirstColumn, PolicyNetwork


def plan_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """Plan the graphs of an engine, small ones first so that faults show early."""
    manifest = describe_model(recipe)
    small = [
        plan_policy(manifest, network, name)
        for name, network in networks.optional().items()
        if isinstance(network, PolicyNetwork)
    ]
    if networks.reward is not None:
        contract = _contracts(recipe)["reward"]
        small.append(plan_reward(recipe, networks.reward, networks.features, contract))
    return [*small, *_generator_graphs(recipe, networks)]


def plan_policy(manifest: Manifest, network: PolicyNetwork, name: str = "policy") -> GraphPlan:
    """Plan a policy's or critic's graph, tabulated for the calls of the engine's schedule."""
    model, spec = manifest.plugin.model(), manifest.family
    tabulate_steps(network, manifest.calls)
    module = model.policy_module(network, spec)
    if name == "critic":
        module = FirstColumn(module)
    examples = model.policy_examples(network, spec)
    return make_plan(name, module, spec.contracts(manifest.condition)[name], examples)


def _generator_graphs(recipe: Recipe, networks: Networks) -> list[GraphPlan]:
    """Plan the family's own graphs."""
    contracts = _contracts(recipe)
    functions = recipe.model.functions(networks.backbone, networks.decoder)
    examples = recipe.model.examples(recipe, functions)
    if networks.text is not None:
        functions = {**functions, "condition": networks.text}
        examples = {"condition": Examples(condition_rows(recipe.condition)), **examples}
    return [
        make_plan(name, functions[name], contracts[name], inputs)
        for name, inputs in examples.items()
    ]


def _contracts(recipe: Recipe) -> Mapping[str, GraphContract]:
    told = recipe.model.told(recipe)
    return recipe.model.describe(recipe).contracts(recipe.condition, told)


def tabulate_steps(policy: PolicyNetwork, calls: int) -> None:
    """Replace the parts that depend only on the step, embedding and modulations, by tables.

    The tables are exact. They replace most of the policy's weights, and most of its time at small
    batches.
    """
    with torch.no_grad():
        embedding = policy.t_embedder(torch.arange(calls))
        for norm in (policy.adaLN1, policy.adaLN2, policy.adaLN3):
            norm.adaLN_modulation = nn.Embedding.from_pretrained(norm.adaLN_modulation(embedding))
    policy.register_module("t_embedder", nn.Identity())
