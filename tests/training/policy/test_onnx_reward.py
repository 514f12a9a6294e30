"""A policy learns what an ONNX file rewards."""

import pytest

torch = pytest.importorskip("torch")

from tiny_recipes import tiny_networks, tiny_recipe
from tiny_reward import reward_graph

from adagen_rt.export.description import describe_model
from adagen_rt.models.policy import PolicyNetwork
from adagen_rt.training.policy.environment import Environment
from adagen_rt.training.policy.evaluator import Evaluator
from adagen_rt.training.policy.onnx_reward import OnnxReward
from adagen_rt.training.policy.rollout import Exploration, rollout
from adagen_rt.training.policy.run import PolicyTrainer
from adagen_rt.training.policy.settings import PolicyTraining


class Plain(torch.nn.Module):
    """Shows one latent channel as it is."""

    def decode(self, latents):
        return latents[:, :1].repeat_interleave(4, 2).repeat_interleave(4, 3) / 4


@pytest.fixture
def parts():
    """An environment, and the sizes of its policy."""
    recipe = tiny_recipe("sit")
    recipe = recipe.changed(schedule=recipe.schedule.model_copy(update={"smoothing": 0.0}))
    networks = tiny_networks(recipe)
    return Environment.of_networks(
        describe_model(recipe), networks.backbone, Plain()
    ), networks.policy.config


def test_scores_are_the_graph_s(parts, tmp_path):
    reward = OnnxReward(reward_graph(tmp_path / "r.onnx", ["labels"]), parts[0], batch_size=2)
    images = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    scores = reward.score(images, {"labels": torch.arange(5)})
    expected = (images - images.mean(dim=(1, 2, 3), keepdim=True)).flatten(1).norm(dim=1)
    torch.testing.assert_close(scores, expected)
    assert reward.state_dict() == {}


def test_a_policy_learns_it(parts, tmp_path):
    torch.manual_seed(0)
    environment, config = parts
    stay = {"first_std": 1.0, "last_std": 1.0, "std_drops": (), "learning_rate": 1e-2}
    settings = PolicyTraining(updates=7, trajectories=64, epochs=8, save_every=7, **stay)
    reward = OnnxReward(reward_graph(tmp_path / "r.onnx"), environment)
    others = {"evaluator": Evaluator(environment, count=4)}
    folder = tmp_path / "run"
    trainer = PolicyTrainer(environment, PolicyNetwork(config), reward, settings, folder, **others)
    before = score(trainer)
    trainer.run()
    assert score(trainer) > 1.05 * before


def score(trainer):
    """The reward without exploration."""
    environment, seeds = trainer.environment, torch.arange(32)
    rows, still = environment.rows(seeds), Exploration.none(environment, len(seeds))
    played = rollout(environment, trainer.actor, rows, seeds, still)
    return trainer.reward.score(played.images, rows).mean()
