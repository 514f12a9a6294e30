"""The reward model as an engine's graph: the trained discriminator over frozen features."""

from __future__ import annotations

from pathlib import Path

from torch.nn.utils import parametrize

from adagen_rt.engine.contracts import GraphContract
from adagen_rt.errors import RecipeError
from adagen_rt.export.description import describe_image
from adagen_rt.export.examples import ROWS, Examples, condition_rows, make_plan, uniform
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe
from adagen_rt.export.sections import RewardSection
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.convolutional import ConvolutionalDiscriminator
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import (
    ClassifierFeatures,
    Features,
    ViTFeatures,
    load_vit_features,
)
from adagen_rt.models.known_images import KNOWN_IMAGES, are_known
from adagen_rt.models.projected import ProjectedDiscriminator
from adagen_rt.models.reward_model import RewardModel


def make_discriminator(
    section: RewardSection, features: Features, classes: int, vectors: bool = False
) -> Discriminator:
    """Make a fresh discriminator over features.

    Args:
        section: Its architecture.
        features: What it looks at.
        classes: Number of classes, or width of the vectors that it is told in their place.
        vectors: Whether it is told vectors.
    """
    sizes = features.widths, classes, section.width, section.average
    if section.network == "convolutional":
        return ConvolutionalDiscriminator(*sizes, vectors)
    return ProjectedDiscriminator(*sizes)


def load_reward_features(section: RewardSection, path: Path) -> ViTFeatures:
    """Load a vision transformer's features, as the section's discriminator sees them.

    Raises:
        CheckpointError: The file is not of such a network, or could run code.
    """
    return load_vit_features(path, section.network == "projected", section.resize)


def recipe_discriminator(recipe: Recipe, features: ViTFeatures | None = None) -> Discriminator:
    """Make the recipe's discriminator over features; None is the built-in ones.

    Raises:
        RecipeError: The built-in features do not support the recipe's images.
    """
    image = describe_image(recipe)
    if features is None and not are_known(image):
        raise RecipeError(
            f"files.reward: got {image}, expected {KNOWN_IMAGES}, which the built-in reward "
            "model judges; for others, files.features names a vision transformer's weights"
        )
    seen = features or ClassifierFeatures(load_classifier())
    if recipe.prompts is not None:
        raise RecipeError(
            "files.reward: got a discriminator of classes, expected none with prompts"
        )
    return make_discriminator(recipe.reward, seen, recipe.condition.variety)


def plan_reward(
    recipe: Recipe,
    discriminator: Discriminator,
    features: ViTFeatures | None,
    contract: GraphContract,
) -> GraphPlan:
    """Plan the reward's graph; spectral normalisation is folded into plain weights."""
    discriminator.eval()  # in training mode, every read of a weight is a power iteration
    for module in list(discriminator.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    spec = describe_image(recipe)
    image = uniform(ROWS, spec.channels, *spec.size)
    examples = Examples({"image": image, **condition_rows(recipe.condition, null=False)})
    return make_plan("reward", RewardModel(discriminator, features), contract, examples)
