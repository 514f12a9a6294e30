"""Proximal policy optimisation of a schedule policy.

Schulman et al., "Proximal policy optimization algorithms" (arXiv 1707.06347), equation 7, in
the setting of AdaGen (arXiv 2603.06993): one reward at the end, no discount, Gaussian actions
of a standard deviation that is lowered over the training.

The loss is written out here rather than taken from torchrl: it is ten lines, and that library
would bring tensordict, a C++ extension and its own collectors for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from adagen_rt.training.policy.parallel import Workers, step_if_finite
from adagen_rt.training.policy.rollout import Trajectories, ask, gaussian_entropy, gaussian_log_prob
from adagen_rt.training.policy.settings import PPOConfig


class Losses(NamedTuple):
    """The parts of a minibatch's loss; all but `total` are for the log.

    Attributes:
        total: The loss to minimise.
        policy: The clipped surrogate objective, negated.
        value: The critic's squared error.
        clipped: Share of the ratios that the clip cut off.
        divergence: Estimate of the divergence from the policy that acted, in nats.
    """

    total: Tensor
    policy: Tensor
    value: Tensor
    clipped: Tensor
    divergence: Tensor


class Batch(NamedTuple):
    """Recorded numbers that the loss compares with, each (T, R): T calls of R trajectories."""

    log_prob: Tensor
    advantage: Tensor
    returns: Tensor
    valid: Tensor


def ppo_loss(
    log_prob: Tensor, value: Tensor, batch: Batch, entropy: float, config: PPOConfig
) -> Losses:
    """Compute equations 7 and 9 of the paper, averaged over the valid calls.

    Args:
        log_prob: Log-density of the actions taken under the current policy (T, R).
        value: The critic's estimates (T, R).
        batch: Log-densities of the policy that acted, advantages and returns.
        entropy: Entropy of the action density, in nats.
        config: Clip and weights.
    """
    log_ratio = log_prob - batch.log_prob
    ratio = log_ratio.exp()
    kept = ratio.clamp(1 - config.clip, 1 + config.clip)
    surrogate = torch.minimum(ratio * batch.advantage, kept * batch.advantage)
    policy = -_mean(surrogate, batch.valid)
    error = _mean((value - batch.returns).square(), batch.valid)
    clipped = _mean((ratio != kept).float(), batch.valid)
    # Schulman's low-variance estimator of the Kullback-Leibler divergence.
    divergence = _mean(ratio - 1 - log_ratio, batch.valid)
    total = policy + config.value * error - config.entropy * entropy
    return Losses(total, policy, error, clipped, divergence)


class PPO:
    """Actor, critic and their optimiser.

    Args:
        actor: Chooses the means of the actions; from `Environment.multi_scale`.
        critic: Estimates the normalised return; the same with one output.
        config: Settings of the training.
        workers: The processes that learn together.
    """

    def __init__(
        self,
        actor: nn.Module,
        critic: nn.Module,
        config: PPOConfig,
        workers: Workers = Workers(),  # noqa: B008 (frozen)
    ) -> None:
        self.actor, self.critic, self.config, self.workers = actor, critic, config, workers
        parameters = [*actor.parameters(), *critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)

    def update(
        self, played: Trajectories, rewards: Tensor, std: float, generator: torch.Generator
    ) -> dict[str, float]:
        """Learn for several epochs from one set of trajectories.

        Args:
            played: Trajectories of the current actor.
            rewards: Reward of each trajectory (B,), all finite.
            std: Standard deviation that the actions were drawn with.
            generator: Shuffles the trajectories.

        Returns:
            Averages for the log; `skipped` is the share of steps not made because the loss
            or its gradient was not finite.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(std)
        batch = self._batch(played, rewards)
        parts, skipped = [], []
        for _ in range(self.config.epochs):
            order = torch.randperm(len(played), generator=generator).to(rewards.device)
            for rows in order.split(self.config.minibatch or len(order)):
                losses, made = self._step(played, batch, rows, std)
                skipped.append(not made)
                parts.append(torch.stack(losses).detach())
        averages = torch.stack(parts).mean(dim=0).tolist()
        names = ("loss", "policy_loss", "value_loss", "clip_fraction", "divergence")
        stats = dict(zip(names, averages, strict=True))
        stats["entropy"] = gaussian_entropy(std, played.raw.shape[-1])
        return {**stats, "skipped": sum(skipped) / len(skipped)}

    def _step(
        self, played: Trajectories, batch: Batch, rows: Tensor, std: float
    ) -> tuple[Losses, bool]:
        """Make one gradient step on some trajectories; tell whether it was made."""
        parts: list[Tensor] = []

        def totals() -> Iterator[Tensor]:
            for losses in self._losses(played, batch, rows, std):
                parts.append(torch.stack(losses).detach())
                yield losses.total

        made = step_if_finite(self.optimizer, totals(), self.config.max_norm, self.workers)
        return Losses(*torch.stack(parts).sum(dim=0)), made

    def _losses(
        self, played: Trajectories, batch: Batch, rows: Tensor, std: float
    ) -> Iterator[Losses]:
        """Compute each chunk's share of the loss of some trajectories."""
        entropy = gaussian_entropy(std, played.raw.shape[-1])
        count = batch.valid[:, rows].sum().clamp(min=1)
        for chunk in rows.split(self.config.chunk):
            mean, value = self._evaluate(played, chunk)
            log_prob = gaussian_log_prob(played.raw[:, chunk], mean, std)
            now = Batch(*(values[:, chunk] for values in batch))
            losses = ppo_loss(log_prob, value, now, entropy, self.config)
            share = now.valid.sum() / count
            yield Losses(*(part * share for part in losses))

    def _batch(self, played: Trajectories, rewards: Tensor) -> Batch:
        """Compute the normalised returns, and their advantages over the critic's estimates."""
        with torch.no_grad():
            rows = torch.arange(len(played), device=rewards.device).split(self.config.chunk)
            value = torch.cat([self._evaluate(played, part)[1] for part in rows], dim=1)
        returns = self._normalise(rewards, ~played.failed).expand_as(value)
        return Batch(played.log_prob, returns - value, returns, played.valid)

    def _normalise(self, rewards: Tensor, counted: Tensor) -> Tensor:
        """Scale rewards to mean 0 and unbiased variance 1 over all processes' sound samples."""
        mean, deviation = self.workers.moments(rewards, counted)
        return (rewards - mean) / (deviation + 1e-7)

    def _evaluate(self, played: Trajectories, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the means (T, R, A) and values (T, R) of some trajectories."""
        means, values = [], []
        for calls in played.groups():
            seen = played.observation(calls, rows)
            call = torch.arange(calls.start, calls.stop, device=rows.device)
            call, shape = call.repeat_interleave(len(rows)), (len(calls), len(rows))
            means.append(ask(self.actor, seen, call).unflatten(0, shape))
            values.append(ask(self.critic, seen, call)[:, 0].unflatten(0, shape))
        return torch.cat(means), torch.cat(values)


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    """Average over the valid entries; 0 without any."""
    return torch.where(valid, values, 0.0).sum() / valid.sum().clamp(min=1)
