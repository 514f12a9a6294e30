"""The networks of a recipe, with weights from files or seeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from adagen_rt.errors import CheckpointError, InputError, RecipeError
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.reward import load_reward_features, recipe_discriminator
from adagen_rt.export.sections import PolicySection
from adagen_rt.extent import Extent
from adagen_rt.models.checkpoint import load_weights
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import ViTFeatures
from adagen_rt.models.located import locate
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork, make_critic
from adagen_rt.models.seeded import seeded_fill
from adagen_rt.types import Tell

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
        features: Features that it judges; None takes the built-in classifier's.
        text: The text encoder; None for a model of classes.
    """

    backbone: nn.Module
    decoder: nn.Module
    policy: PolicyNetwork | None
    critic: PolicyNetwork | None = None
    fidelity_policy: PolicyNetwork | None = None
    reward: Discriminator | None = None
    features: ViTFeatures | None = None
    text: nn.Module | None = None

    def optional(self) -> dict[str, nn.Module]:
        """Return the existing optional networks by name."""
        names = ("policy", "fidelity_policy", "critic", "reward")
        found = {name: getattr(self, name) for name in names}
        return {name: network for name, network in found.items() if network is not None}


def load_networks(
    recipe: Recipe,
    weights: Path | Sequence[Path],
    fidelity: Path | None = None,
    *,
    keys: Mapping[str, str] | None = None,
    tell: Tell = lambda message: None,
) -> Networks:
    """Load networks with the weights of the recipe's files in a folder.

    Args:
        recipe: The recipe with their sizes and files.
        weights: The folder, or several, of which the first that has a file is meant.
        fidelity: Another folder that holds the fidelity policy.
        keys: Where in a file a network lies, by the network's name.
        tell: Told under which key a network was found.

    Raises:
        CheckpointError: Files are missing, unsafe, or do not fit; the message tells of each.
    """
    files, keys = recipe.files.model_dump(exclude_none=True), keys or {}
    folders = [weights] if isinstance(weights, Path) else list(weights)
    if unknown := sorted(keys.keys() - files.keys()):
        raise InputError("weights-key", unknown[0], f"one of {', '.join(files)}")
    # The discriminator's sizes follow from the features, so they are read before all others.
    file = files.pop("features", None)
    features = None
    if file is not None:
        features = load_reward_features(recipe.reward, locate(folders, file, tell))
    networks = lay_out(recipe, features)
    faults = []
    for name, file in files.items():
        if (network := getattr(networks, name)) is None:
            continue
        places = [fidelity] if fidelity and name == "fidelity_policy" else folders
        try:
            path = locate(places, file, tell)
            load_weights(network, path, key=keys.get(name), tell=tell)
        except CheckpointError as error:
            faults.append(str(error))
    if faults:
        raise CheckpointError("; ".join(faults))
    return networks


def lay_out(recipe: Recipe, features: ViTFeatures | None = None) -> Networks:
    """Make a recipe's networks, the large ones without memory.

    On the meta device a network takes the file's tensors as its own: no second copy.

    Args:
        recipe: The recipe with their sizes.
        features: What the discriminator judges, if the recipe names a file for it; without
            them there is no discriminator.

    Raises:
        RecipeError: There is no network of such sizes.
    """
    try:
        with torch.device("meta"):
            backbone, decoder = recipe.make_backbone(), recipe.make_decoder()
            text = recipe.make_text()
        return _complete(recipe, backbone, decoder, features, text)
    except (ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise RecipeError(f"{recipe.name}: no network has these sizes: {told}") from error


def seed_networks(recipe: Recipe, tag: str) -> Networks:
    """Make networks of the recipe's sizes with seeded weights; no files are needed.

    Raises:
        RecipeError: The reward model's features come from a file.
    """
    if recipe.files.features is not None:
        raise RecipeError("files.features: got a file, expected none with seeded weights")
    parts = recipe.make_backbone(), recipe.make_decoder()
    networks = _complete(recipe, *parts, text=recipe.make_text())
    seeded_fill(networks.backbone, tag, f"{recipe.family}/backbone")
    seeded_fill(networks.decoder, tag, recipe.model.decoder.tag)
    if networks.text is not None:
        seeded_fill(networks.text, tag, f"{recipe.family}/text")
    for name, network in networks.optional().items():
        scales = {"linear3.weight": SEEDED_POLICY_SCALE}
        seeded_fill(network, tag, f"{recipe.family}/{name}", scales=scales)
    return networks


def _complete(
    recipe: Recipe,
    backbone: nn.Module,
    decoder: nn.Module,
    features: ViTFeatures | None = None,
    text: nn.Module | None = None,
) -> Networks:
    """Join a generator and fresh optional networks of the recipe."""
    files, policy = recipe.files, make_policy(recipe)
    judged = files.reward is not None and (files.features is None or features is not None)
    return Networks(
        backbone,
        decoder,
        policy,
        critic=make_critic(policy) if policy and files.critic else None,
        fidelity_policy=make_policy(recipe) if files.fidelity_policy else None,
        reward=recipe_discriminator(recipe, features) if judged else None,
        features=features,
        text=text,
    )


def make_policy(recipe: Recipe) -> PolicyNetwork | None:
    """Make a fresh policy, whose output is zero: the static schedule."""
    if recipe.policy is None:
        return None
    seen = recipe.model.feature_width(recipe), recipe.model.feature_grid(recipe)
    return fresh_policy(recipe.policy, len(recipe.schedule.actions), *seen)


def fresh_policy(section: PolicySection, actions: int, width: int, grid: Extent) -> PolicyNetwork:
    """Make a fresh policy of any generator.

    Args:
        section: Its own sizes.
        actions: Columns of its output.
        width: Width of the generator's feature map.
        grid: Height and width of that map, which it sees unless the section names another grid.
    """
    config = PolicyConfig(
        actions=actions,
        features=width,
        grid=section.grid or grid,
        hidden=section.hidden,
        initialisation=section.initialisation,
    )
    return PolicyNetwork(config)
