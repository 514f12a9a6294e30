"""The networks of a recipe, with weights from files or seeded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from adagen_rt.errors import CheckpointError
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.reward import make_discriminator
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork, make_critic
from adagen_rt.models.seeded import seeded_fill

#: A seeded policy's last layer, which a fresh policy has at zero, is scaled by this.
SEEDED_POLICY_SCALE = 0.5


@dataclass(frozen=True)
class Networks:
    """Networks that an engine is made of.

    Attributes:
        backbone: The generator.
        decoder: Makes the images.
        policy: The policy; None for an engine with only static schedules.
        critic: Predicts the reward from the policy's inputs; None without a file in the recipe.
        fidelity_policy: A second policy; None without a file in the recipe.
        reward: The discriminator of best-of; None without a file in the recipe.
    """

    backbone: nn.Module
    decoder: nn.Module
    policy: PolicyNetwork | None
    critic: PolicyNetwork | None = None
    fidelity_policy: PolicyNetwork | None = None
    reward: Discriminator | None = None

    def optional(self) -> dict[str, nn.Module]:
        """Return the existing optional networks by name."""
        names = ("policy", "fidelity_policy", "critic", "reward")
        found = {name: getattr(self, name) for name in names}
        return {name: network for name, network in found.items() if network is not None}


def load_networks(recipe: Recipe, weights: Path, fidelity: Path | None = None) -> Networks:
    """Load networks with the weights of the recipe's files in a folder.

    Args:
        recipe: The recipe with their sizes and files.
        weights: The folder.
        fidelity: Another folder that holds the fidelity policy.

    Raises:
        CheckpointError: A file is missing, unsafe, or does not fit.
    """
    files = recipe.files
    # On the meta device a network takes the file's tensors as its own: no second copy.
    with torch.device("meta"):
        backbone, decoder = recipe.make_backbone(), recipe.make_decoder()
    _load(backbone, weights / files.backbone)
    _load(decoder, weights / files.decoder)
    networks = _complete(recipe, backbone, decoder)
    for name, network in networks.optional().items():
        if (file := getattr(files, name)) is not None:
            elsewhere = fidelity if name == "fidelity_policy" else None
            _load(network, (elsewhere or weights) / file)
    return networks


def seed_networks(recipe: Recipe, tag: str) -> Networks:
    """Make networks of the recipe's sizes with seeded weights; no files are needed."""
    networks = _complete(recipe, recipe.make_backbone(), recipe.make_decoder())
    seeded_fill(networks.backbone, tag, f"{recipe.family}/backbone")
    seeded_fill(networks.decoder, tag, recipe.model.decoder.tag)
    for name, network in networks.optional().items():
        scales = {"linear3.weight": SEEDED_POLICY_SCALE}
        seeded_fill(network, tag, f"{recipe.family}/{name}", scales=scales)
    return networks


def _complete(recipe: Recipe, backbone: nn.Module, decoder: nn.Module) -> Networks:
    """Join a generator and fresh optional networks of the recipe."""
    files, policy = recipe.files, make_policy(recipe)
    return Networks(
        backbone,
        decoder,
        policy,
        critic=make_critic(policy) if policy and files.critic else None,
        fidelity_policy=make_policy(recipe) if files.fidelity_policy else None,
        reward=make_discriminator(recipe) if files.reward else None,
    )


def make_policy(recipe: Recipe) -> PolicyNetwork | None:
    """Make a fresh policy, whose output is zero: the static schedule."""
    if recipe.policy is None:
        return None
    config = PolicyConfig(
        actions=len(recipe.schedule.actions),
        features=recipe.model.feature_width(recipe),
        grid=recipe.model.feature_grid(recipe),
        hidden=recipe.policy.hidden,
    )
    return PolicyNetwork(config)


def _load(module: nn.Module, path: Path) -> None:
    try:
        load_strict(module, load_state(path))
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if str(path) in text else f"{path}: {text}") from None
