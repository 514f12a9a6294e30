"""The manifest of a recipe's model."""

from __future__ import annotations

from adagen_rt.engine.manifest import Manifest
from adagen_rt.engine.sections import ImageSpec
from adagen_rt.export.recipe import Recipe


def describe_image(recipe: Recipe) -> ImageSpec:
    """Describe size and range of the decoder's images."""
    return ImageSpec(
        size=recipe.model.image_size(recipe),
        channels=recipe.decoder.image_channels,
        pixel_range=recipe.pixel_range,
    )


def describe_model(recipe: Recipe) -> Manifest:
    """Make the manifest as far as a recipe determines it, before any graph is exported."""
    return Manifest.model_construct(
        name=recipe.name,
        family=recipe.model.describe(recipe),
        condition=recipe.condition,
        image=describe_image(recipe),
        schedule=recipe.schedule,
        refinement_std=_refinement_std(recipe),
        graphs={},
        dtype="float32",
        files={},
    )


def _refinement_std(recipe: Recipe) -> float | None:
    if recipe.policy is None or recipe.files.critic is None:
        return None
    return recipe.policy.refinement_std
