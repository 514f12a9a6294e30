"""The trained adversarial reward, as a network that scores images."""

from __future__ import annotations

from torch import Tensor, nn

from adagen_rt.models.classifier import load_classifier
from adagen_rt.models.discriminator import Discriminator, mean_probability
from adagen_rt.models.features import ClassifierFeatures


class RewardModel(nn.Module):
    """Realness of an image, as the adversarial reward computes it.

    Args:
        discriminator: A discriminator trained over the classifier's frozen features.
    """

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.features = ClassifierFeatures(load_classifier())
        self.discriminator = discriminator

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        """Compute rewards (B,) of images (B, 1, 32, 32) in [0, 1], in steps of 1/255."""
        return mean_probability(self.discriminator(self.features(image), labels))
