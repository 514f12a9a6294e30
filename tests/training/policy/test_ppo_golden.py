"""PPO's update beside the same update by hand: closed forms in float64, no automatic derivative.

Actor and critic are linear, so that the gradient of the loss (arXiv 1707.06347, equation 7, with
AdaNAT's weights) and Adam's steps (arXiv 1412.6980, algorithm 1) are a few lines of NumPy.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.models.random import keyed_generator
from adagen_rt.training.policy.ppo import PPO
from adagen_rt.training.policy.rollout import Trajectories, gaussian_log_prob
from adagen_rt.training.policy.settings import PPOConfig

CALLS, COUNT, TOKENS, WIDTH, ACTIONS, STD = 3, 10, 4, 5, 2, 0.6
RATE, CLIP, EPOCHS = 3e-2, 0.2, 5


class Linear(torch.nn.Module):
    """Reads the mean of the features, and the call."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(weight, dtype=torch.float32))

    def forward(self, features, step):
        return seen(features, step) @ self.weight.T


def seen(features, step):
    return torch.cat([features.mean(dim=1), step[:, None].float()], dim=1)


@pytest.fixture(scope="module")
def numbers():
    """Features, weights, actions and rewards of a rollout; two samples failed or ended early."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(CALLS, COUNT, TOKENS, WIDTH)).astype(np.float32)
    actor = rng.normal(scale=0.3, size=(ACTIONS, WIDTH + 1)).astype(np.float32)
    critic = rng.normal(scale=0.3, size=(1, WIDTH + 1)).astype(np.float32)
    noise = rng.normal(size=(CALLS, COUNT, ACTIONS)).astype(np.float32)
    valid = np.ones((CALLS, COUNT), bool)
    valid[:, 4], valid[2, 7] = False, False
    return features, actor, critic, noise, valid, rng.uniform(size=COUNT)


def played(numbers):
    features, actor, _, noise, valid, _ = numbers
    observations = tuple({"features": torch.from_numpy(values)} for values in features)
    calls = [torch.full((COUNT,), call) for call in range(CALLS)]
    pairs = zip(observations, calls, strict=True)
    behaved = Linear(actor)
    mean = torch.stack([behaved(seen_at["features"], call) for seen_at, call in pairs]).detach()
    raw = mean + STD * torch.from_numpy(noise)
    blank = torch.zeros(COUNT)
    return Trajectories(
        observations=observations,
        raw=raw,
        mean=mean,
        log_prob=gaussian_log_prob(raw, mean, STD),
        actions=raw,
        valid=torch.from_numpy(valid),
        rows={"labels": blank},
        seeds=blank,
        latents={},
        images=blank,
        failed=torch.arange(COUNT) == 4,
    )


class ByHand:
    """The same update in NumPy."""

    def __init__(self, numbers, max_norm=0.0):
        features, actor, critic, noise, valid, rewards = (np.asarray(n, float) for n in numbers)
        means, steps = features.mean(axis=2), np.arange(CALLS, dtype=float)[:, None, None]
        self.seen = np.concatenate([means, np.broadcast_to(steps, (CALLS, COUNT, 1))], axis=-1)
        self.weights = {"actor": actor.copy(), "critic": critic.copy()}
        self.raw, self.valid = self.seen @ actor.T + STD * noise, valid.astype(bool)
        sound = np.arange(COUNT) != 4
        mean, deviation = rewards[sound].mean(), rewards[sound].std(ddof=1)
        self.returns = np.broadcast_to((rewards - mean) / (deviation + 1e-7), (CALLS, COUNT))
        self.advantage = self.returns - (self.seen @ critic.T)[..., 0]
        self.before = self.log_prob()
        self.moments = {n: (np.zeros_like(w), np.zeros_like(w)) for n, w in self.weights.items()}
        self.steps, self.max_norm = 0, max_norm

    def log_prob(self):
        deviation = (self.raw - self.seen @ self.weights["actor"].T) / STD
        return -(deviation**2 / 2 + np.log(STD * np.sqrt(2 * np.pi))).sum(axis=-1)

    def step(self, rows):
        """Make one step on some trajectories; return the loss before it and the clipped share."""
        valid = self.valid[:, rows]
        ratio = np.exp(self.log_prob() - self.before)[:, rows]
        advantage, returns = self.advantage[:, rows], self.returns[:, rows]
        value = (self.seen @ self.weights["critic"].T)[:, rows, 0]
        kept = np.clip(ratio, 1 - CLIP, 1 + CLIP)
        gain = np.minimum(ratio * advantage, kept * advantage)[valid].mean()
        error = ((value - returns) ** 2)[valid].mean()
        entropy = ACTIONS * (0.5 + 0.5 * np.log(2 * np.pi) + np.log(STD))
        self.descend(self.gradients(rows, ratio, value - returns, valid))
        loss = -gain + 0.5 * error - 0.01 * entropy
        return loss, (ratio != kept)[valid].mean()

    def gradients(self, rows, ratio, error, valid):
        advantage, seen, count = self.advantage[:, rows], self.seen[:, rows], valid.sum()
        gained = (advantage > 0) & (ratio > 1 + CLIP)
        lost = (advantage < 0) & (ratio < 1 - CLIP)
        push = np.where(valid & ~gained & ~lost, -advantage * ratio / count, 0.0)
        slope = (self.raw[:, rows] - seen @ self.weights["actor"].T) / STD**2
        actor = np.einsum("tb,tba,tbi->ai", push, slope, seen)
        critic = np.einsum("tb,tbi->i", np.where(valid, error / count, 0.0), seen)[None]
        return {"actor": actor, "critic": critic}

    def descend(self, gradients):
        self.steps += 1
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        factor = min(1.0, self.max_norm / norm) if self.max_norm else 1.0
        for name, gradient in gradients.items():
            first, second = self.moments[name]
            first = 0.9 * first + 0.1 * gradient * factor
            second = 0.999 * second + 0.001 * (gradient * factor) ** 2
            self.moments[name] = first, second
            unbiased = second / (1 - 0.999**self.steps)
            step = first / (1 - 0.9**self.steps) / (np.sqrt(unbiased) + 1e-8)
            self.weights[name] -= RATE * step


def learned(numbers, **changes):
    """The networks after one update, and its log."""
    actor, critic = Linear(numbers[1]), Linear(numbers[2])
    config = PPOConfig(trajectories=COUNT, epochs=EPOCHS, learning_rate=RATE, **changes)
    stats = PPO(actor, critic, config).update(
        played(numbers), torch.tensor(numbers[5], dtype=torch.float32), STD, keyed_generator(3)
    )
    return {"actor": actor.weight.detach(), "critic": critic.weight.detach()}, stats


@pytest.mark.parametrize("chunk", [128, 3])
@pytest.mark.parametrize("max_norm", [0.0, 0.05])
@pytest.mark.parametrize("minibatch", [0, 4])
def test_an_update_is_the_one_by_hand(numbers, minibatch, max_norm, chunk):
    hand, losses, order = ByHand(numbers, max_norm), [], keyed_generator(3)
    for _ in range(EPOCHS):
        mixed = torch.randperm(COUNT, generator=order).numpy()
        size = minibatch or COUNT
        losses += [hand.step(mixed[i : i + size]) for i in range(0, COUNT, size)]
    assert len(losses) == (EPOCHS if minibatch == 0 else 3 * EPOCHS)
    got, stats = learned(numbers, minibatch=minibatch, max_norm=max_norm, chunk=chunk)
    for name, weight in got.items():
        moved = np.abs(hand.weights[name] - numbers[1 if name == "actor" else 2]).max()
        assert moved > 0.05
        np.testing.assert_allclose(weight, hand.weights[name], atol=2e-5)
    loss, clipped = np.mean(losses, axis=0)
    assert stats["loss"] == pytest.approx(loss, rel=1e-5)
    assert stats["clip_fraction"] == pytest.approx(clipped, abs=1e-6)
    assert clipped > 0.02


def test_the_first_loss_has_no_ratio_in_it(numbers):
    critic = numbers[2]
    hand = ByHand(numbers)
    value = (hand.seen @ critic.astype(float).T)[..., 0]
    advantage = (hand.returns - value)[hand.valid]
    # The ratio is 1 everywhere, and the advantage is the critic's error.
    entropy = ACTIONS * (0.5 + 0.5 * np.log(2 * np.pi) + np.log(STD))
    expected = -advantage.mean() + 0.5 * (advantage**2).mean() - 0.01 * entropy
    loss, clipped = hand.step(np.arange(COUNT))
    assert loss == pytest.approx(expected, rel=1e-12)
    assert clipped == 0
    actor, network = Linear(numbers[1]), Linear(numbers[2])
    config = PPOConfig(trajectories=COUNT, epochs=1, learning_rate=1e-9)
    rewards = torch.tensor(numbers[5], dtype=torch.float32)
    stats = PPO(actor, network, config).update(played(numbers), rewards, STD, keyed_generator(0))
    assert stats["loss"] == pytest.approx(expected, rel=3e-7)
