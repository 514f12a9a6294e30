"""The frozen generator of a recipe, as trainings and searches play it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adagen_rt.condition import Prompts

if TYPE_CHECKING:
    from adagen_rt.data.captioned import Captioned
    from adagen_rt.engine.manifest import Manifest
    from adagen_rt.export.networks import Networks
    from adagen_rt.export.recipe import Recipe
    from adagen_rt.training.policy.environment import Environment


def open_environment(
    recipe: Recipe,
    weights: Path,
    networks: Networks,
    device: str,
    asked: Sequence[Any] | None,
    *,
    bf16: bool = False,
) -> Environment:
    """Make the environment of a recipe's networks.

    Args:
        recipe: The recipe.
        weights: Folder of its weights, where a generator of prompts has its tokenizers.
        networks: The networks.
        device: PyTorch's name of the device.
        asked: Conditions that samples are made of; None takes those that show what it does.
        bf16: Whether the backbone computes in bfloat16.

    Raises:
        InputError: A tokenizer is missing.
    """
    from adagen_rt.export.description import describe_model
    from adagen_rt.export.tokenizers import find_tokenizers
    from adagen_rt.training.policy.environment import Environment

    find_tokenizers(recipe.condition, [weights])
    return Environment.of_networks(
        describe_model(recipe).within(weights),
        *(networks.backbone, networks.decoder, device),
        bf16=bf16,
        text=None if networks.text is None else (networks.text, recipe.model.told(recipe)),
        asked=asked,
    )


def open_captioned(manifest: Manifest, data: Path | None) -> Captioned | None:
    """Open the captioned set of a generator of prompts, if one was given."""
    from adagen_rt.data.captioned import load_captioned

    if not isinstance(manifest.condition, Prompts) or data is None:
        return None
    return load_captioned(data, manifest.image.size, manifest.image.channels)
