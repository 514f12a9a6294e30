"""The reward model as an engine's graph: the trained discriminator over frozen features."""

from __future__ import annotations

import torch
from torch.nn.utils import parametrize

from adagen_rt.errors import RecipeError
from adagen_rt.export.description import describe_image
from adagen_rt.export.examples import ROWS, plan_rows, uniform
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.models.known_images import CHANNELS, KNOWN_IMAGES, SIDE, are_known
from adagen_rt.models.reward_model import RewardModel


def make_discriminator(recipe: Recipe) -> Discriminator:
    """A fresh discriminator of the recipe's size.

    Raises:
        RecipeError: The built-in features cannot look at the recipe's images.
    """
    image = describe_image(recipe)
    if not are_known(image):
        raise RecipeError(
            f"files.reward: got {image}, expected {KNOWN_IMAGES}, which the built-in reward "
            "model judges"
        )
    widths = ClassifierFeatures(load_classifier()).widths
    return Discriminator(widths, recipe.class_count, recipe.reward.width)


def plan_reward(recipe: Recipe, discriminator: Discriminator) -> GraphPlan:
    """The reward's graph; spectral normalisation is folded into plain weights."""
    discriminator.eval()  # in training mode, every look at a weight is a power iteration
    for module in list(discriminator.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    model = RewardModel(discriminator)
    image = uniform(ROWS, CHANNELS, SIDE, SIDE)
    labels = torch.arange(ROWS) % recipe.class_count
    return plan_rows("reward", model, {"image": image, "labels": labels}, "reward")
