"""Settings of a policy's training.

Defaults are those of AdaNAT's released script (arXiv 2409.00342), which AdaGen (arXiv 2603.06993)
builds on, for the full-size models; the demo's recipes say where theirs differ, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from adagen_rt.errors import InputError


@dataclass(frozen=True)
class PPOConfig:
    """Settings of a policy's training; the defaults are AdaNAT's (arXiv 2409.00342).

    Attributes:
        trajectories: Samples an update, of all processes together.
        epochs: Passes over them.
        minibatch: Trajectories a gradient step, of one process; 0 takes all of them.
        chunk: Trajectories whose gradient is computed at once; a step adds up as many chunks
            as it needs, which saves memory and changes nothing else.
        learning_rate: Learning rate of actor and critic (Adam), at `first_std`.
        scale_rate: Whether the learning rate falls in proportion to the standard deviation,
            so that a step moves the policy by as many deviations early and late.
        clip: Largest change of the probability ratio, epsilon.
        entropy: Weight of the entropy. With a standard deviation that is not learnt it is a
            constant of the loss and moves nothing; kept so that losses compare with others'.
        value: Weight of the critic's squared error.
        max_norm: Largest norm of the gradient; 0 for any.
        first_std: Standard deviation of the actions at the first update.
        last_std: Standard deviation below which it does not fall.
        std_drop: What it falls by at each of `std_drops`.
        std_drops: Updates that it falls at; without any, it falls linearly, and reaches
            `last_std` at the last update.
    """

    trajectories: int = 4096
    epochs: int = 5
    minibatch: int = 0
    chunk: int = 128
    learning_rate: float = 1e-5
    scale_rate: bool = False
    clip: float = 0.2
    entropy: float = 0.01
    value: float = 0.5
    max_norm: float = 0.0
    first_std: float = 0.6
    last_std: float = 0.1
    std_drop: float = 0.3
    std_drops: tuple[int, ...] = (500,)

    def __post_init__(self) -> None:
        for name in ("trajectories", "epochs", "chunk"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "at least 1")
        for name in ("minibatch", "max_norm", "std_drop"):
            if not getattr(self, name) >= 0:
                raise InputError(name, getattr(self, name), "0 or more")
        for name in ("learning_rate", "clip", "first_std", "last_std"):
            if not getattr(self, name) > 0:
                raise InputError(name, getattr(self, name), "a number above 0")

    def rate(self, std: float) -> float:
        """Return the learning rate at a standard deviation of the actions."""
        return self.learning_rate * (std / self.first_std if self.scale_rate else 1.0)

    def std(self, update: int, updates: int) -> float:
        """Return the standard deviation of the actions at an update, 0 being the first of all."""
        if self.std_drops:
            passed = sum(update >= drop for drop in self.std_drops)
            return max(self.first_std - self.std_drop * passed, self.last_std)
        progress = min(update / max(1, updates - 1), 1.0)
        return self.first_std * (1 - progress) + self.last_std * progress


@dataclass(frozen=True)
class PolicyTraining(PPOConfig):
    """Settings of a policy's training run.

    Attributes:
        updates: Rounds of playing and learning.
        warmup: First updates in which only the reward learns, because an untrained
            discriminator's scores mean nothing.
        batch_size: Samples that are generated together.
        balanced: Whether an update has as many samples of every condition, rather than
            conditions drawn at random.
        half: Whether features are kept in float16.
        bf16: Whether the generator computes in bfloat16 while training.
        step_cost: Price of an evaluation, taken off the reward, in standard deviations of an
            update's rewards; of a schedule that may stop.
        target_evaluations: Evaluations an image that the price is moved towards; 0 leaves the
            price as it is.
        step_cost_rate: What the price moves by in an update for each evaluation too many.
        seed: Seed of everything.
        save_every: Updates between checkpoints.
        evaluate_every: Updates between evaluations without exploration.
    """

    updates: int = 1000
    warmup: int = 0
    batch_size: int = 128
    balanced: bool = False
    half: bool = False
    bf16: bool = False
    step_cost: float = 0.0
    target_evaluations: float = 0.0
    step_cost_rate: float = 0.01
    seed: int = 0
    save_every: int = 10
    evaluate_every: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("updates", "batch_size", "save_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "at least 1")
        for name in ("step_cost", "target_evaluations", "step_cost_rate"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise InputError(name, value, "0 or more")

    @property
    def last(self) -> float:
        """Standard deviation of the actions at the last update."""
        return self.std_at(self.updates - 1)

    def std_at(self, update: int) -> float:
        """Return the standard deviation of the actions at an update, from 0."""
        return self.std(update, self.updates)


@dataclass(frozen=True)
class AdversaryConfig:
    """Settings of the discriminator's training; the defaults are AdaNAT's.

    Its architecture is in the recipe's section `reward`.

    Attributes:
        fresh: Whether each step sees new images of the updated policy; otherwise those that
            were rewarded.
        steps: Steps an update, with `fresh`.
        epochs: Passes over an update's images, without `fresh`.
        batch_size: Generated images a step of one process, and as many real ones.
        learning_rate: Adam's learning rate.
        betas: Adam's decay of the averages of the gradient and of its square.
        max_norm: Largest norm of the gradient; 0 for any.
        crops: Share of the batches, in rewards and in training, that are seen through a random
            crop of the features' size, where images are larger; the others are resized.
        mirror: Whether half of the real images are mirrored.
    """

    fresh: bool = True
    steps: int = 5
    epochs: int = 1
    batch_size: int = 128
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.999)
    max_norm: float = 0.0
    crops: float = 0.5
    mirror: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(name, getattr(self, name), "at least 1")
        if not self.learning_rate > 0:
            raise InputError("learning_rate", self.learning_rate, "a number above 0")
        if not self.max_norm >= 0:
            raise InputError("max_norm", self.max_norm, "0 or more")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError("betas", self.betas, "two numbers from 0 to below 1")
        if not 0 <= self.crops <= 1:
            raise InputError("crops", self.crops, "a share from 0 to 1")
