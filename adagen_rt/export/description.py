"""What the manifest says of a recipe's model."""

from __future__ import annotations

import math

from adagen_rt.engine.manifest import (
    DiffusionSpec,
    FamilySpec,
    ImageSpec,
    Manifest,
    MaskGITSpec,
    VARSpec,
)
from adagen_rt.export.recipe import Recipe


def describe_family(recipe: Recipe) -> FamilySpec:
    """The step rule and its sizes."""
    config = recipe.backbone
    if recipe.family == "maskgit":
        return MaskGITSpec(tokens=config.tokens, vocabulary=config.vocabulary)
    if recipe.family == "var":
        return VARSpec(
            scales=config.scales,
            vocabulary=config.vocabulary,
            code_width=config.code_width,
            layers=config.depth,
            width=config.width,
            phi=recipe.decoder.phis,
        )
    return DiffusionSpec(
        family=recipe.family,
        channels=config.channels,
        size=config.size,
        tokens=config.grid**2,
        width=config.width,
    )


def describe_image(recipe: Recipe) -> ImageSpec:
    """Size and range of what the decoder gives."""
    config = recipe.backbone
    if recipe.family == "maskgit":
        side = math.isqrt(config.tokens)
    else:
        side = config.scales[-1] if recipe.family == "var" else config.size
    return ImageSpec(
        size=side * recipe.decoder.reduction,
        channels=recipe.decoder.image_channels,
        pixel_range=recipe.pixel_range,
    )


def describe_model(recipe: Recipe) -> Manifest:
    """The manifest as far as a recipe decides it: no graph has been exported yet."""
    return Manifest.model_construct(
        name=recipe.name,
        family=describe_family(recipe),
        class_count=recipe.class_count,
        class_names=recipe.class_names,
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
