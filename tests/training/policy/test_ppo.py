from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import tiny_environment, tiny_networks, tiny_recipe

from adagen_rt.errors import InputError
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork, make_critic
from adagen_rt.models.random import keyed_generator
from adagen_rt.training.policy.ppo import PPO, Batch, ppo_loss
from adagen_rt.training.policy.rollout import Exploration, rollout
from adagen_rt.training.policy.settings import PPOConfig

CONFIG = PPOConfig(trajectories=32, epochs=4, minibatch=16, learning_rate=3e-3)
STD = 0.5


class Toy:
    """A tiny SiT whose reward is how close the guidance comes to 3."""

    def __init__(self, family="sit", config=CONFIG):
        torch.manual_seed(0)
        recipe = tiny_recipe(family)
        networks = tiny_networks(recipe)
        self.environment = tiny_environment(recipe, networks)
        policy = PolicyNetwork(networks.policy.config)
        self.actor = self.environment.multi_scale(policy)
        critic = self.environment.multi_scale(make_critic(policy))
        self.ppo = PPO(self.actor, critic, config)

    def play(self, number, std=STD):
        count = CONFIG.trajectories
        explored = Exploration.draw(self.environment, count, std, keyed_generator(number))
        rows, seeds = {"labels": torch.arange(count) % 10}, torch.arange(count) + 1000 * number
        return rollout(self.environment, self.actor, rows, seeds, explored)

    def rewards(self, played):
        column = self.environment.manifest.schedule.names.index("guidance_scale")
        return -(played.actions[..., column].nanmean(dim=0) - 3.0).abs()


@pytest.mark.parametrize("family", ["sit", "var"])
def test_a_policy_learns_what_is_rewarded(family):
    toy = Toy(family)
    before = toy.rewards(toy.play(0, std=0.0)).mean()
    for update in range(12):
        played = toy.play(update)
        stats = toy.ppo.update(played, toy.rewards(played), STD, keyed_generator(update))
    after = toy.rewards(toy.play(0, std=0.0)).mean()
    assert before < -1.4
    assert after > 0.5 * before
    assert 0 < stats["clip_fraction"] < 1
    assert stats["skipped"] == 0


def test_the_loss_is_the_papers():
    old, advantage = torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[1.0, -1.0, 5.0]])
    valid = torch.tensor([[True, True, False]])
    batch = Batch(old, advantage, torch.tensor([[2.0, 1.0, 9.0]]), valid)
    new = torch.tensor([[0.5, 0.5, 3.0]]).requires_grad_()
    losses = ppo_loss(new, torch.tensor([[1.0, 1.0, 1.0]]), batch, 4.0, PPOConfig())
    ratio = torch.tensor(0.5).exp()
    policy = -(1.2 - ratio) / 2
    torch.testing.assert_close(losses.policy.detach(), policy)
    assert losses.value == 0.5
    assert losses.clipped == 1.0
    torch.testing.assert_close(losses.total.detach(), policy + 0.5 * 0.5 - 0.01 * 4.0)
    losses.total.backward()
    # Gained too much already: no gradient. Lost: all of it. Not valid: none.
    torch.testing.assert_close(new.grad, torch.stack([0 * ratio, ratio / 2, 0 * ratio])[None])


def test_the_first_gradient_is_the_policy_gradient():
    toy = Toy()
    played = toy.play(1)
    rows = torch.arange(len(played))
    mean, value = toy.ppo._evaluate(played, rows)
    torch.testing.assert_close(mean.detach(), played.mean, atol=1e-5, rtol=1e-4)
    assert value.shape == played.valid.shape
    assert torch.equal(value, torch.zeros_like(value))


def test_returns_are_normalised_over_the_samples_that_did_not_fail():
    toy = Toy()
    rewards = torch.tensor([1.0, 2.0, 3.0, -1e9])
    got = toy.ppo._normalise(rewards, torch.tensor([True, True, True, False]))
    assert got[:3].mean().abs() < 1e-5
    assert got[:3].std(correction=1) == pytest.approx(1.0, abs=1e-4)


def test_a_loss_that_is_not_finite_changes_nothing():
    toy = Toy()
    before = [p.clone() for p in toy.actor.parameters()]
    rewards = torch.full((CONFIG.trajectories,), torch.nan)
    stats = toy.ppo.update(toy.play(0), rewards, STD, keyed_generator(0))
    assert stats["skipped"] == 1.0
    assert all(torch.equal(a, b) for a, b in zip(before, toy.actor.parameters(), strict=True))


def test_a_failed_sample_does_not_disturb_the_update():
    toy = Toy()
    toy.environment.networks["backbone"].y_embedder.embedding_table.weight.data[7] = torch.nan
    played = toy.play(0)
    assert played.failed.any()
    rewards = torch.nan_to_num(toy.rewards(played))
    assert toy.ppo.update(played, rewards, STD, keyed_generator(0))["skipped"] == 0
    assert all(p.isfinite().all() for p in toy.actor.parameters())


def test_the_critic_has_the_policys_architecture():
    policy = PolicyNetwork(PolicyConfig(actions=4, features=8, grid=4, hidden=16))
    shapes = {k: v.shape for k, v in policy.state_dict().items() if "linear3" not in k}
    critic = make_critic(policy).state_dict()
    assert shapes.items() <= {k: v.shape for k, v in critic.items()}.items()
    assert critic["linear3.weight"].shape == (1, 16)


def test_the_deviation_drops_at_the_published_update():
    published = PPOConfig()
    got = [published.std(update, 1000) for update in (0, 499, 500, 999)]
    assert got == pytest.approx([0.6, 0.6, 0.3, 0.3])
    often = PPOConfig(std_drops=(10, 20, 30), std_drop=0.2)
    assert [often.std(u, 40) for u in (9, 10, 20, 30)] == pytest.approx([0.6, 0.4, 0.2, 0.1])


def test_without_drops_the_deviation_falls_linearly():
    config = PPOConfig(std_drops=())
    assert [config.std(update, 101) for update in (0, 50)] == pytest.approx([0.6, 0.35])
    assert config.std(100, 101) == config.std(500, 101) == 0.1
    assert config.std(0, 1) == 0.6


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trajectories", 0),
        ("epochs", 0),
        ("clip", 0.0),
        ("last_std", -1.0),
        ("chunk", 0),
        ("minibatch", -1),
        ("max_norm", float("nan")),
    ],
)
def test_impossible_settings_are_refused(field, value):
    with pytest.raises(InputError, match=field):
        PPOConfig(**{field: value})


def test_a_scaled_rate_keeps_steps_proportional_to_the_deviation():
    config = PPOConfig(learning_rate=2e-4, first_std=0.4, last_std=0.1, scale_rate=True)
    assert [config.rate(std) for std in (0.4, 0.1)] == pytest.approx([2e-4, 5e-5])
    assert PPOConfig(learning_rate=2e-4).rate(0.1) == 2e-4
    toy = Toy("sit", replace(CONFIG, scale_rate=True))
    played = toy.play(0, std=0.3)
    toy.ppo.update(played, toy.rewards(played), 0.3, keyed_generator(0))
    assert toy.ppo.optimizer.param_groups[0]["lr"] == pytest.approx(CONFIG.learning_rate / 2)
