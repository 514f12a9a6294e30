"""The reward model as an engine's graph: the trained discriminator over frozen features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from adagen_rt.errors import RecipeError
from adagen_rt.export.description import describe_image
from adagen_rt.export.examples import ROWS, plan_rows, uniform
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe
from adagen_rt.training.classifier import load_classifier
from adagen_rt.training.discriminator import Discriminator, mean_probability
from adagen_rt.training.features import ClassifierFeatures

#: Side and channels of the images that the built-in features look at.
JUDGED = (32, 1)


class RewardModel(nn.Module):
    """How real an image looks, as the adversarial reward pays it.

    Args:
        features: Frozen.
        discriminator: Trained over them.
    """

    def __init__(self, features: ClassifierFeatures, discriminator: Discriminator) -> None:
        super().__init__()
        self.features, self.discriminator = features, discriminator

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Reward (B,) of images (B, 1, 32, 32) in [0, 1], in steps of 1/255."""
        return mean_probability(self.discriminator(self.features(image), labels))


def make_discriminator(recipe: Recipe) -> Discriminator:
    """A fresh discriminator of the recipe's size.

    Raises:
        RecipeError: The built-in features cannot look at the recipe's images.
    """
    image = describe_image(recipe)
    if (image.size, image.channels) != JUDGED:
        raise RecipeError(
            f"files.reward: got images of {image.size} x {image.size} in {image.channels} "
            f"channels, expected 32 x 32 grey ones, which the built-in reward model judges"
        )
    widths = ClassifierFeatures(load_classifier()).widths
    return Discriminator(widths, recipe.class_count, recipe.reward.width)


def plan_reward(recipe: Recipe, discriminator: Discriminator) -> GraphPlan:
    """The reward's graph; spectral normalisation is folded into plain weights."""
    discriminator.eval()  # in training mode, every look at a weight is a power iteration
    for module in list(discriminator.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    model = RewardModel(ClassifierFeatures(load_classifier()), discriminator)
    side, channels = JUDGED
    image = uniform(ROWS, channels, side, side)
    labels = torch.arange(ROWS) % recipe.class_count
    return plan_rows("reward", model, {"image": image, "labels": labels}, "reward")
