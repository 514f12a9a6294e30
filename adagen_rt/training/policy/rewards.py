"""Rewards of a policy: scores of its images by a discriminator or by a fixed network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adagen_rt.condition import classes_of
from adagen_rt.errors import InputError
from adagen_rt.evaluation.metrics import Gaussian, frechet_distance, frechet_influence
from adagen_rt.export.reward import make_discriminator
from adagen_rt.export.sections import RewardSection
from adagen_rt.models.classifier import Classifier, judge
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.training.policy.adversarial import Adversary, Fresh
from adagen_rt.training.policy.environment import Environment, Tensors
from adagen_rt.training.policy.onnx_reward import PREFIX, OnnxReward
from adagen_rt.training.policy.parallel import Workers
from adagen_rt.training.policy.reward import Reward, SumReward
from adagen_rt.training.policy.settings import AdversaryConfig


class AdversarialReward(Reward):
    """Realness of the images to a discriminator that is trained alongside the policy.

    AdaGen's reward (arXiv 2603.06993). A policy cannot settle on a flaw of the discriminator,
    because that learns to detect it.
    """

    def __init__(self, adversary: Adversary) -> None:
        self.adversary = adversary

    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return how real the images are (B,), from 0 to 1."""
        return self.adversary.realness(images, rows, generator)

    def learn(
        self, images: Tensor, rows: Tensors, generator: torch.Generator, fresh: Fresh
    ) -> dict[str, float]:
        """Train the discriminator on generated images and as many real ones."""
        return self.adversary.learn(images, rows, generator, fresh)

    def state_dict(self) -> dict[str, Any]:
        """The discriminator and its optimiser."""
        return self.adversary.state_dict()

    def discriminator(self) -> nn.Module:
        """The adversary's network."""
        return self.adversary.network

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with a saved discriminator and optimiser."""
        self.adversary.load_state_dict(state)


class FidReward(Reward):
    """The batch's negative Frechet distance, shared out among its samples.

    One distance per batch would be the same reward for every sample, which normalisation over
    the batch removes. Each sample's reward therefore also has its influence, the rate at which
    the distance falls as that sample gains weight. The mean of the rewards is the negative
    distance, and the policy gradient under them is the gradient of the distance.
    """

    def __init__(self, embed: Callable[[Tensor], Tensor], reference: Gaussian) -> None:
        self.embed, self.reference = embed, reference

    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the negative distance of all images minus each sample's influence on it (B,)."""
        features = self.embed(images).cpu().numpy().astype(np.float64)
        if not np.isfinite(features).all():
            return torch.full((len(images),), torch.nan, device=images.device)
        distance = frechet_distance(Gaussian.of(features), self.reference)
        rewards = -distance - frechet_influence(features, self.reference)
        return torch.from_numpy(rewards).float().to(images.device)


class ClassifierReward(Reward):
    """A fixed classifier's log-probability of the label; a policy can exploit its flaws."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @torch.no_grad()
    def score(
        self, images: Tensor, rows: Tensors, generator: torch.Generator | None = None
    ) -> Tensor:
        """Return the log-probability (B,) of each label, at most 0."""
        logits = self.classifier(images)[0].log_softmax(dim=-1)
        return logits.gather(1, classes_of(rows)[:, None])[:, 0]


@dataclass(frozen=True)
class RewardContext:
    """Networks, images and settings that rewards are made from.

    Attributes:
        classifier: Gives the features, and the log-probabilities.
        pixels: Real images (N, 1, 32, 32) uint8.
        rows: Conditions of the real images, named tensors (N, ...).
        section: The discriminator's architecture.
        adversary: Settings of the discriminator's training.
        device: PyTorch's name of the device that computes rewards.
        workers: The processes that learn together.
    """

    classifier: Classifier
    pixels: Tensor
    rows: Tensors
    section: RewardSection = field(default_factory=RewardSection)
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    device: str = "cpu"
    workers: Workers = field(default_factory=Workers)


def _adversarial(context: RewardContext) -> Reward:
    features = ClassifierFeatures(context.classifier)
    classes = int(classes_of(context.rows).max()) + 1
    network = make_discriminator(context.section, features, classes)
    real, where = (context.pixels, context.rows), (context.device, context.workers)
    return AdversarialReward(Adversary(network, features, *real, context.adversary, *where))


def _fid(context: RewardContext) -> Reward:
    def embed(images: Tensor) -> Tensor:
        return judge(context.classifier, images)[1]

    parts = context.pixels.split(1000)
    features = torch.cat([embed(part.to(context.device).float() / 255) for part in parts])
    return FidReward(embed, Gaussian.of(features.cpu().numpy()))


def _classifier(context: RewardContext) -> Reward:
    return ClassifierReward(context.classifier)


REWARDS: dict[str, Callable[[RewardContext], Reward]] = {
    "adversarial": _adversarial,
    "fid": _fid,
    "classifier": _classifier,
}


def parse_rewards(texts: tuple[str, ...]) -> dict[str, float]:
    """Parse weights by name from texts such as `adversarial`, `classifier=0.5` or `onnx:FILE=2`.

    Raises:
        InputError: A name is unknown or given twice, a file is not there, or a weight is not a
            number.
    """
    weights: dict[str, float] = {}
    known = f"{', '.join(REWARDS)}, {PREFIX}FILE"
    for text in texts:
        name, weight = _split(text)
        if not (name in REWARDS or name.startswith(PREFIX)) or name in weights:
            raise InputError("reward", text, f"one of {known}, each once at most")
        if name.startswith(PREFIX) and not file_of(name).is_file():
            raise InputError("reward", text, f"{PREFIX}FILE[=WEIGHT], a file that is there")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise InputError("reward", text, "NAME or NAME=WEIGHT") from None
        if not np.isfinite(weights[name]):
            raise InputError("reward", text, "a finite weight")
    if not weights:
        raise InputError("reward", texts, f"at least one of {known}")
    return weights


def _split(text: str) -> tuple[str, str]:
    """Split a name and its weight; a file's name may have an equals sign itself."""
    name, found, weight = text.rpartition("=")
    if not found or (text.startswith(PREFIX) and file_of(text).is_file()):
        return text, "1"
    return name, weight or "1"


def file_of(name: str) -> Path:
    """Give the file of a reward's name."""
    return Path(name.removeprefix(PREFIX))


def make_reward(weights: Mapping[str, float], context: RewardContext) -> SumReward:
    """Make the weighted sum of the named rewards."""
    parsed = parse_rewards(tuple(f"{name}={weight}" for name, weight in weights.items()))
    context.classifier.eval().requires_grad_(False).to(context.device)
    return SumReward({name: (weight, REWARDS[name](context)) for name, weight in parsed.items()})


def onnx_rewards(weights: Mapping[str, float], environment: Environment) -> SumReward:
    """Make the weighted sum of those rewards that are ONNX files."""
    named = {name: weight for name, weight in weights.items() if name.startswith(PREFIX)}
    return SumReward({n: (w, OnnxReward(file_of(n), environment)) for n, w in named.items()})
