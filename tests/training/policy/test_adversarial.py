"""What the discriminator's training does with each of its settings."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.models.discriminator import Discriminator
from adagen_rt.models.random import keyed_generator
from adagen_rt.training.policy.adversarial import Adversary
from adagen_rt.training.policy.settings import AdversaryConfig

SIDE = 6


class Looking:
    """Features that are the images themselves, and a memory of their sizes."""

    widths, side = (1,), SIDE

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        self.seen.append(images)
        return (images[..., :SIDE, :SIDE],)


class Scale(Discriminator):
    """A logit a pixel: the pixel times a weight."""

    def __init__(self):
        super().__init__("logits")
        self.weight = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, maps, classes):
        return [self.weight * maps[0].flatten(1)]


def make(side=SIDE, **changes):
    pixels = (torch.arange(20 * side * side) * 7 % 256).reshape(20, 1, side, side).byte()
    config = AdversaryConfig(**{"batch_size": 4, "crops": 0.0, "mirror": False, **changes})
    rows = {"labels": torch.arange(20) % 10}
    adversary = Adversary(Scale(), Looking(), pixels, rows, config)
    adversary.features.seen.clear()
    return adversary


class Made:
    """Fresh images, and how often which number was asked for."""

    def __init__(self, side=SIDE):
        self.side, self.counts = side, []

    def __call__(self, count, generator):
        self.counts.append(count)
        images = torch.rand((count, 1, self.side, self.side), generator=generator)
        return images, {"labels": torch.zeros(count, dtype=torch.int64)}


def scored(count=10, side=SIDE):
    rows = {"labels": torch.zeros(count, dtype=torch.int64)}
    return torch.full((count, 1, side, side), 0.25), rows


def test_the_published_way_is_five_steps_on_fresh_images():
    config = AdversaryConfig()
    assert (config.fresh, config.steps, config.batch_size) == (True, 5, 128)
    adversary, made = make(), Made()
    adversary.learn(*scored(), keyed_generator(0), made)
    assert made.counts == [4] * 5
    seen = adversary.features.seen
    assert len(seen) == 10  # real and generated ones of each step
    assert not any((images == 0.25).all() for images in seen)
    assert not torch.equal(seen[1], seen[3])


@pytest.mark.parametrize(("epochs", "sizes"), [(1, [4, 4, 2]), (2, [4, 4, 2, 4, 4, 2])])
def test_scored_images_are_passed_over(epochs, sizes):
    adversary, made = make(fresh=False, epochs=epochs), Made()
    adversary.learn(*scored(), keyed_generator(0), made)
    assert made.counts == []
    assert [len(images) for images in adversary.features.seen[1::2]] == sizes
    assert all((images == 0.25).all() for images in adversary.features.seen[1::2])


def test_a_step_is_adams_on_the_mean_softplus():
    adversary = make(steps=1, learning_rate=0.1, betas=(0.5, 0.9))
    stats = adversary.learn(*scored(), keyed_generator(0), Made())
    real, fake = (images.numpy().astype(float) for images in adversary.features.seen)
    loss = np.log1p(np.exp(-2 * real)).mean() + np.log1p(np.exp(2 * fake)).mean()
    assert stats["discriminator_loss"] == pytest.approx(loss, rel=1e-5)
    # Adam's first step is the rate, against the gradient's sign.
    assert adversary.network.weight.item() == pytest.approx(1.9, abs=1e-6)
    (state,) = adversary.optimizer.state.values()
    slope = (-real / (1 + np.exp(2 * real))).mean() + (fake / (1 + np.exp(-2 * fake))).mean()
    assert state["exp_avg"].item() == pytest.approx(0.5 * slope, rel=1e-4)
    assert state["exp_avg_sq"].item() == pytest.approx(0.1 * slope**2, rel=1e-4)


def test_the_published_optimiser_is_the_default():
    group = make().optimizer.param_groups[0]
    assert (group["lr"], group["betas"]) == (1e-4, (0.5, 0.999))


def test_a_gradient_is_bounded_only_on_demand():
    free, bounded = make(steps=1), make(steps=1, max_norm=1e-3)
    moments = []
    for adversary in (free, bounded):
        adversary.learn(*scored(), keyed_generator(0), Made())
        (state,) = adversary.optimizer.state.values()
        moments.append(abs(state["exp_avg"].item()))
    assert moments[0] > 0.01
    assert moments[1] == pytest.approx(0.5 * 1e-3, rel=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_batches_is_cropped(share):
    adversary = make(side=9, crops=share, batch_size=1)
    images, rows = torch.rand(200, 1, 9, 9), {"labels": torch.zeros(200, dtype=torch.int64)}
    adversary.realness(images, rows, keyed_generator(0))
    seen = adversary.features.seen
    cropped = [part.shape[-1] == SIDE for part in seen]
    assert np.mean(cropped) == pytest.approx(share, abs=0.1)
    corners = set()
    for image, part, cut in zip(images, seen, cropped, strict=True):
        windows = image[0].unfold(0, SIDE, 1).unfold(1, SIDE, 1)
        if cut:
            (place,) = (windows == part[0, 0]).all(dim=-1).all(dim=-1).nonzero().tolist()
            corners.add(tuple(place))
    assert len(corners) == (16 if share else 0)


def test_images_of_the_features_size_and_unknown_chance_are_never_cropped():
    small, large = make(crops=1.0), make(side=9, crops=1.0)
    small.realness(*scored(), keyed_generator(0))
    large.realness(*scored(side=9))
    assert {part.shape[-1] for part in small.features.seen} == {SIDE}
    assert {part.shape[-1] for part in large.features.seen} == {9}


def test_training_crops_real_and_generated_batches_each_by_chance():
    adversary = make(side=9, steps=200, crops=0.5)
    adversary.learn(*scored(side=9), keyed_generator(0), Made(9))
    sizes = [part.shape[-1] for part in adversary.features.seen]
    pairs = set(zip(sizes[::2], sizes[1::2], strict=True))
    assert pairs == {(6, 6), (6, 9), (9, 6), (9, 9)}


@pytest.mark.parametrize("mirror", [True, False])
def test_half_of_the_real_images_are_mirrored(mirror):
    adversary = make(mirror=mirror, steps=100)
    adversary.learn(*scored(), keyed_generator(0), Made())
    real = torch.cat(adversary.features.seen[::2])
    kept = adversary.pixels.float() / 255
    straight = (real[:, None] == kept[None]).flatten(2).all(dim=2).any(dim=1)
    turned = (real[:, None] == kept[None].flip(-1)).flatten(2).all(dim=2).any(dim=1)
    assert (straight ^ turned).all()
    assert turned.float().mean() == pytest.approx(0.5 * mirror, abs=0.08)
