import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.condition import take_rows
from adagen_rt.errors import InputError
from adagen_rt.evaluation.metrics import Gaussian, frechet_distance, frechet_influence
from adagen_rt.export.reward import make_discriminator
from adagen_rt.export.sections import RewardSection
from adagen_rt.models.classifier import Classifier, judge
from adagen_rt.models.features import ClassifierFeatures
from adagen_rt.models.random import keyed_generator
from adagen_rt.training.policy.adversarial import Adversary
from adagen_rt.training.policy.reward import Reward, SumReward
from adagen_rt.training.policy.rewards import (
    AdversarialReward,
    ClassifierReward,
    RewardContext,
    make_reward,
    parse_rewards,
)
from adagen_rt.training.policy.settings import AdversaryConfig

CONFIG = AdversaryConfig(
    fresh=False, batch_size=32, learning_rate=4e-3, betas=(0.0, 0.99), mirror=False
)
DEMO = RewardSection(network="convolutional", width=16, average="probabilities")


def bars(count, width=4):
    """Images (N, 1, 32, 32) uint8 with a bar whose place is the class, and the conditions."""
    labels = torch.arange(count) % 10
    pixels = torch.zeros(count, 1, 32, 32, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, :, 3 * label : 3 * label + width] = 200
    return pixels, {"labels": labels}


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    return Classifier().eval()


@pytest.fixture
def adversary(classifier):
    return make_adversary(classifier)


def make_adversary(classifier, seed=0, section=DEMO, config=CONFIG):
    torch.manual_seed(seed)
    features = ClassifierFeatures(classifier)
    return Adversary(make_discriminator(section, features, 10), features, *bars(64), config)


def unasked(count, generator):
    """Stands for fresh images where none are made."""
    raise AssertionError


def generated(kind):
    """Images in [0, 1] with conditions: noise, bars of the wrong class, or real ones."""
    pixels, rows = bars(64)
    images = pixels.float() / 255
    if kind == "noise":
        images = torch.rand(images.shape, generator=keyed_generator(1))
    return images, {"labels": (rows["labels"] + 5) % 10} if kind == "mislabelled" else rows


@pytest.mark.parametrize("kind", ["noise", "mislabelled"])
def test_the_discriminator_learns_to_tell_apart(adversary, kind):
    images, rows = generated(kind)
    reward = AdversarialReward(adversary)
    for step in range(25):
        stats = reward.learn(images, rows, keyed_generator(step), unasked)
    # Most of a bar's image is black and says nothing about its class.
    gap = 0.4 if kind == "noise" else 0.1
    assert stats["fake"] + gap < stats["real"]
    assert stats["discriminator_skipped"] == 0
    assert reward.score(images, rows).max() < reward.score(*generated("real")).min()


def test_realness_is_a_probability_and_changes_nothing(adversary):
    before = {k: v.clone() for k, v in adversary.network.state_dict().items()}
    scores = adversary.realness(*generated("noise"))
    assert scores.shape == (64,)
    assert 0 < scores.min() <= scores.max() < 1
    assert all(torch.equal(v, before[k]) for k, v in adversary.network.state_dict().items())


def test_a_loss_that_is_not_finite_changes_no_weight(adversary):
    images, rows = generated("noise")
    before = [p.clone() for p in adversary.network.parameters()]
    stats = adversary.learn(images * torch.nan, rows, keyed_generator(0), unasked)
    assert stats["discriminator_skipped"] == 1
    after = adversary.network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_discriminator_continues_from_its_state(classifier, adversary):
    images, rows = generated("noise")
    adversary.learn(images, rows, keyed_generator(0), unasked)
    other = make_adversary(classifier, seed=1)
    other.load_state_dict(copy.deepcopy(adversary.state_dict()))
    for each in (adversary, other):
        each.learn(images, rows, keyed_generator(1), unasked)
    assert torch.equal(adversary.realness(images, rows), other.realness(images, rows))


def test_spectral_norms_are_at_most_one(adversary):
    for head in adversary.network.heads:
        for layer in (head.enter, head.mix, head.leave, head.classes):
            matrix = layer.weight.detach().flatten(1)
            assert torch.linalg.matrix_norm(matrix, 2) < 1.1


def test_the_classifiers_reward_is_a_log_probability(classifier):
    images, rows = generated("real")
    scores = ClassifierReward(classifier).score(images, rows)
    expected = torch.nn.functional.cross_entropy(
        classifier(images)[0], rows["labels"], reduction="none"
    )
    torch.testing.assert_close(scores, -expected)


def test_the_fid_reward_averages_to_the_batchs_distance(classifier):
    pixels, rows = bars(200)
    reward = make_reward({"fid": 1.0}, RewardContext(classifier, pixels, rows))
    images = generated("noise")[0]
    features = judge(classifier, images)[1].numpy()
    real = judge(classifier, pixels.float() / 255)[1].numpy()
    distance = frechet_distance(Gaussian.of(features), Gaussian.of(real))
    scores = reward.score(images, take_rows(rows, slice(64)))
    assert scores.mean().item() == pytest.approx(-distance, rel=1e-4)
    assert reward.score(images * torch.nan, take_rows(rows, slice(64))).isnan().all()


def test_influence_is_the_distances_derivative():
    rng = np.random.default_rng(0)
    features, weights = rng.normal(1.0, 2.0, (40, 3)), np.full(40, 1 / 40)
    reference = Gaussian.of(rng.normal(size=(50, 3)) * [1.0, 2.0, 3.0])

    def distance(weights):
        mean = weights @ features
        covariance = (features - mean).T @ ((features - mean) * weights[:, None])
        return frechet_distance(Gaussian(mean, covariance), reference)

    influence, step = frechet_influence(features, reference), 1e-5
    for sample in (0, 17):
        moved = (1 - step) * weights
        moved[sample] += step
        slope = (distance(moved) - distance(weights)) / step
        assert slope == pytest.approx(influence[sample], rel=1e-3, abs=1e-3)
    assert abs(influence.mean()) < 1e-9


def test_influence_survives_features_without_spread():
    reference = Gaussian.of(np.random.default_rng(0).normal(size=(50, 4)))
    assert np.isfinite(frechet_influence(np.ones((5, 4)), reference)).all()


def test_a_sum_weighs_its_parts():
    class Constant(Reward):
        def __init__(self, value):
            self.value = value

        def score(self, images, rows, generator=None):
            return torch.full((len(images),), self.value)

    reward = SumReward({"a": (2.0, Constant(3.0)), "b": (0.5, Constant(4.0))})
    assert reward.score(torch.zeros(2, 1, 4, 4), torch.zeros(2)).tolist() == [8.0, 8.0]
    assert reward.learn(torch.zeros(2), torch.zeros(2), keyed_generator(0), unasked) == {}
    reward.load_state_dict(reward.state_dict())


def test_rewards_are_named_and_weighed():
    weights = parse_rewards(("adversarial", "classifier=0.5", "fid=2e-2"))
    assert weights == {"adversarial": 1.0, "classifier": 0.5, "fid": 0.02}


@pytest.mark.parametrize(
    "texts",
    [(), ("fit",), ("fid=", "fid"), ("fid=high",), ("fid=nan",), ("",), (f"fid={math.inf}",)],
)
def test_unknown_rewards_and_weights_are_refused(texts):
    with pytest.raises(InputError, match="reward: got"):
        parse_rewards(texts)


def test_impossible_settings_are_refused():
    with pytest.raises(InputError, match="learning_rate"):
        AdversaryConfig(learning_rate=0.0)
    with pytest.raises(InputError, match="epochs"):
        AdversaryConfig(epochs=0)
    with pytest.raises(InputError, match="betas"):
        AdversaryConfig(betas=(0.5, 1.0))
    with pytest.raises(InputError, match="crops"):
        AdversaryConfig(crops=1.5)
