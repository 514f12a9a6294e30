"""What a policy is paid for: images that pass as real, or that a fixed judge likes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adagen_rt.condition import classes_of
from adagen_rt.errors import InputError
from adagen_rt.evaluation.metrics import Gaussian, frechet_distance, frechet_influence
from adagen_rt.models.classifier import Classifier, judge
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.training.policy.adversarial import Adversary, AdversaryConfig
from adagen_rt.training.policy.environment import Tensors
from adagen_rt.training.policy.parallel import Workers


class Reward(ABC):
    """Scores images; may learn from them, as a discriminator does."""

    @abstractmethod
    def score(self, images: Tensor, rows: Tensors) -> Tensor:
        """Reward (B,) of images (B, c, H, W) in [0, 1] made under conditions (B, ...)."""

    def learn(self, images: Tensor, rows: Tensors, generator: torch.Generator) -> dict[str, float]:
        """Learn from generated images, after they were scored; returns numbers for the log."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """All that changes in the course of training."""
        return {}

    def discriminator(self) -> nn.Module | None:
        """The discriminator that is trained alongside, if there is one."""
        return None

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 (most keep no state)
        """Continue from an earlier state."""


class AdversarialReward(Reward):
    """How real a discriminator that is trained alongside takes the images to be.

    AdaGen's reward (arXiv 2603.06993): the mean sigmoid of the discriminator's logits. A
    policy cannot settle on a flaw of its judge, which learns to see it.
    """

    def __init__(self, adversary: Adversary) -> None:
        self.adversary = adversary

    def score(self, images: Tensor, rows: Tensors) -> Tensor:
        """Mean probability of being real over all heads and places."""
        return self.adversary.realness(images, rows)

    def learn(self, images: Tensor, rows: Tensors, generator: torch.Generator) -> dict[str, float]:
        """Trains the discriminator on these and as many real images."""
        return self.adversary.learn(images, rows, generator)

    def state_dict(self) -> dict[str, Any]:
        """The discriminator and its optimiser."""
        return self.adversary.state_dict()

    def discriminator(self) -> nn.Module:
        """The adversary's network."""
        return self.adversary.network

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with that discriminator."""
        self.adversary.load_state_dict(state)


class FidReward(Reward):
    """The batch's negative Frechet distance, shared out among its samples.

    One distance a batch would be the same reward for every sample: nothing is left of it once
    rewards are normalised over the batch. Each sample is instead paid by its influence, the
    rate at which the distance falls as that sample gains weight. The mean of the rewards is
    the negative distance, and the policy gradient under them is the gradient of the distance.
    """

    def __init__(self, embed: Callable[[Tensor], Tensor], reference: Gaussian) -> None:
        self.embed, self.reference = embed, reference

    def score(self, images: Tensor, rows: Tensors) -> Tensor:
        """Negative distance of all images, plus what each sample takes off it."""
        features = self.embed(images).cpu().numpy().astype(np.float64)
        if not np.isfinite(features).all():
            return torch.full((len(images),), torch.nan, device=images.device)
        distance = frechet_distance(Gaussian.of(features), self.reference)
        rewards = -distance - frechet_influence(features, self.reference)
        return torch.from_numpy(rewards).float().to(images.device)


class ClassifierReward(Reward):
    """A fixed classifier's log-probability of the label: a judge that can be deceived."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    @torch.no_grad()
    def score(self, images: Tensor, rows: Tensors) -> Tensor:
        """Log-probability of each label, at most 0."""
        logits = self.classifier(images)[0].log_softmax(dim=-1)
        return logits.gather(1, classes_of(rows)[:, None])[:, 0]


class SumReward(Reward):
    """A weighted sum of rewards.

    Args:
        parts: Weight and reward by name.
    """

    def __init__(self, parts: Mapping[str, tuple[float, Reward]]) -> None:
        self.parts = dict(parts)

    def score(self, images: Tensor, rows: Tensors) -> Tensor:
        """Sum of the parts' rewards times their weights."""
        scores = [weight * part.score(images, rows) for weight, part in self.parts.values()]
        return torch.stack(scores).sum(dim=0)

    def learn(self, images: Tensor, rows: Tensors, generator: torch.Generator) -> dict[str, float]:
        """Lets every part learn."""
        stats: dict[str, float] = {}
        for _, part in self.parts.values():
            stats |= part.learn(images, rows, generator)
        return stats

    def state_dict(self) -> dict[str, Any]:
        """The parts' states by name."""
        return {name: part.state_dict() for name, (_, part) in self.parts.items()}

    def discriminator(self) -> nn.Module | None:
        """The discriminator of the adversarial part, if there is one."""
        found = (part.discriminator() for _, part in self.parts.values())
        return next((network for network in found if network is not None), None)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every part."""
        for name, (_, part) in self.parts.items():
            part.load_state_dict(state[name])


@dataclass(frozen=True)
class RewardContext:
    """What rewards are made from.

    Attributes:
        classifier: Gives the features, and the log-probabilities.
        pixels: Real images (N, 1, 32, 32) uint8.
        rows: What they are examples of, named tensors (N, ...).
        adversary: How the discriminator learns.
        device: Where rewards are computed.
        workers: The processes that learn together.
    """

    classifier: Classifier
    pixels: Tensor
    rows: Tensors
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    device: str = "cpu"
    workers: Workers = field(default_factory=Workers)


def _adversarial(context: RewardContext) -> Reward:
    features = ClassifierFeatures(context.classifier)
    real = context.pixels, context.rows
    adversary = Adversary(features, *real, context.adversary, context.device, context.workers)
    return AdversarialReward(adversary)


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
    """Weights by name from texts such as `adversarial` or `classifier=0.5`.

    Raises:
        InputError: A name is unknown or given twice, or a weight is not a number.
    """
    weights: dict[str, float] = {}
    for text in texts:
        name, _, weight = text.partition("=")
        if name not in REWARDS or name in weights:
            raise InputError("reward", text, f"one of {', '.join(REWARDS)}, each once at most")
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            raise InputError("reward", text, "NAME or NAME=WEIGHT") from None
        if not np.isfinite(weights[name]):
            raise InputError("reward", text, "a finite weight")
    if not weights:
        raise InputError("reward", texts, f"at least one of {', '.join(REWARDS)}")
    return weights


def make_reward(weights: Mapping[str, float], context: RewardContext) -> SumReward:
    """The weighted sum of the rewards of those names."""
    parsed = parse_rewards(tuple(f"{name}={weight}" for name, weight in weights.items()))
    context.classifier.eval().requires_grad_(False).to(context.device)
    return SumReward({name: (weight, REWARDS[name](context)) for name, weight in parsed.items()})
