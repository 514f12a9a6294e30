"""The trained adversarial reward, as a network that scores images."""

from __future__ import annotations

from torch import Tensor, nn

from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.features import ClassifierFeatures


class RewardModel(nn.Module):
    """Realness of an image, whatever the images beside it.

    Args:
        discriminator: A discriminator trained over the frozen features; it is fixed.
        features: The features; None takes the built-in classifier's.
    """

    def __init__(self, discriminator: Discriminator, features: nn.Module | None = None) -> None:
        super().__init__()
        self.features = features or ClassifierFeatures(load_classifier())
        self.discriminator = discriminator
        discriminator.fix()

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Compute rewards (B,) of images (B, c, H, W) in [0, 1], in steps of 1/255."""
        return self.discriminator.reward(self.discriminator(self.features(image), labels))
