"""The reward model as an engine's graph: the trained discriminator over frozen features."""

from __future__ import annotations

from torch.nn.utils import parametrize

from adagen_rt.engine.contracts import GraphContract
from adagen_rt.errors import RecipeError
from adagen_rt.export.description import describe_image
from adagen_rt.export.examples import ROWS, Examples, condition_rows, make_plan, uniform
from adagen_rt.export.onnx_export import GraphPlan
from adagen_rt.export.recipe import Recipe
from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.models.known_images import CHANNELS, KNOWN_IMAGES, SIDE, are_known
from adagen_rt.models.reward_model import RewardModel


def make_discriminator(recipe: Recipe) -> Discriminator:
    """Make a fresh discriminator of the recipe's size.

    Raises:
        RecipeError: The built-in features do not support the recipe's images.
    """
    image = describe_image(recipe)
    if not are_known(image):
        raise RecipeError(
            f"files.reward: got {image}, expected {KNOWN_IMAGES}, which the built-in reward "
            "model judges"
        )
    widths = ClassifierFeatures(load_classifier()).widths
    return Discriminator(widths, recipe.condition.count, recipe.reward.width)


def plan_reward(recipe: Recipe, discriminator: Discriminator, contract: GraphContract) -> GraphPlan:
    """Plan the reward's graph; spectral normalisation is folded into plain weights."""
    discriminator.eval()  # in training mode, every read of a weight is a power iteration
    for module in list(discriminator.modules()):
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    image = uniform(ROWS, CHANNELS, SIDE, SIDE)
    examples = Examples({"image": image, **condition_rows(recipe.condition, null=False)})
    return make_plan("reward", RewardModel(discriminator), contract, examples)
