"""The networks of a recipe, with weights from files or seeded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from adagen_rt.errors import CheckpointError
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.checkpoint import load_state, load_strict
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork
from adagen_rt.models.seeded import seeded_fill

#: A seeded policy's last layer, which a fresh policy has at zero, is scaled by this.
SEEDED_POLICY_SCALE = 0.5
#: The published decoders' tags in the golden numbers; VAR's belongs to its family.
_DECODER_TAGS = {
    "maskgit": "vqgan",
    "dit": "autoencoder_kl",
    "sit": "autoencoder_kl",
    "var": "var/vae",
}


@dataclass(frozen=True)
class Networks:
    """What an engine is made of; `policy` is None where there is only a static schedule."""

    backbone: nn.Module
    decoder: nn.Module
    policy: PolicyNetwork | None


def load_networks(recipe: Recipe, weights: Path) -> Networks:
    """Networks with the weights of the recipe's files in a folder.

    Raises:
        CheckpointError: A file is missing, unsafe, or does not fit; nothing has been written.
    """
    files = recipe.files
    # On the meta device a network takes the file's tensors as its own: no second copy.
    with torch.device("meta"):
        backbone, decoder = recipe.make_backbone(), recipe.make_decoder()
    _load(backbone, weights / files.backbone)
    _load(decoder, weights / files.decoder)
    policy = make_policy(recipe)
    if policy is not None and files.policy is not None:
        _load(policy, weights / files.policy)
    return Networks(backbone, decoder, policy)


def seed_networks(recipe: Recipe, tag: str) -> Networks:
    """Networks of the recipe's sizes, filled by the golden rule; no files are needed."""
    networks = Networks(recipe.make_backbone(), recipe.make_decoder(), make_policy(recipe))
    seeded_fill(networks.backbone, tag, f"{recipe.family}/backbone")
    seeded_fill(networks.decoder, tag, _DECODER_TAGS[recipe.family])
    if networks.policy is not None:
        scales = {"linear3.weight": SEEDED_POLICY_SCALE}
        seeded_fill(networks.policy, tag, f"{recipe.family}/policy", scales=scales)
    return networks


def make_policy(recipe: Recipe) -> PolicyNetwork | None:
    """A fresh policy, whose output is zero: the static schedule."""
    if recipe.policy is None:
        return None
    config = PolicyConfig(
        actions=len(recipe.schedule.actions),
        features=recipe.backbone.width,
        grid=feature_grid(recipe),
        hidden=recipe.policy.hidden,
    )
    return PolicyNetwork(config)


def feature_grid(recipe: Recipe) -> int:
    """Side of the feature map that the policy reads."""
    if recipe.family == "maskgit":
        return math.isqrt(recipe.backbone.tokens)
    if recipe.family == "var":
        return int(recipe.backbone.scales[-1])
    return int(recipe.backbone.grid)


def _load(module: nn.Module, path: Path) -> None:
    try:
        load_strict(module, load_state(path))
    except CheckpointError as error:
        text = str(error)
        raise CheckpointError(text if str(path) in text else f"{path}: {text}") from None
