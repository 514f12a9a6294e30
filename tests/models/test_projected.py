"""The projected discriminator and what it sees, beside closed forms in float64."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from adagen_rt.models.convolutional import ConvolutionalDiscriminator
from adagen_rt.models.features import ViTFeatures, resized
from adagen_rt.models.projected import (
    ClassMapping,
    Head,
    LocalBatchNorm,
    ProjectedDiscriminator,
    ScaledLinear,
)
from adagen_rt.models.vit import ViT, ViTConfig

CLASSES, CHANNELS, PLACES = 3, 6, 12


def normalised(x):
    """Samples and places (n, C, L) of one group to mean 0 and variance 1."""
    mean, variance = x.mean(axis=(0, 2), keepdims=True), x.var(axis=(0, 2), keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-5)


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def numbers(tensor):
    return tensor.detach().numpy().astype(float)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = ProjectedDiscriminator((CHANNELS, CHANNELS), CLASSES, width=4)
    return network.eval()


@pytest.mark.parametrize("training", [True, False])
def test_statistics_are_those_of_eight_samples(training):
    norm = LocalBatchNorm(CHANNELS).train(training)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(19, CHANNELS, PLACES) * 3 + 1
    parts = [normalised(numbers(group)) for group in (x[:8], x[8:16], x[16:])]
    expected = np.concatenate(parts) * numbers(norm.weight)[:, None] + numbers(norm.bias)[:, None]
    np.testing.assert_allclose(norm(x).detach(), expected, atol=1e-5)


def test_fixed_statistics_are_running_averages_and_leave_samples_alone():
    norm = LocalBatchNorm(CHANNELS)
    for _ in range(200):
        norm(torch.randn(32, CHANNELS, PLACES) * 2 + 5)
    norm.eval().fixed = True
    x = torch.randn(9, CHANNELS, PLACES) * 2 + 5
    alone = torch.cat([norm(sample[None]) for sample in x])
    assert torch.equal(alone, norm(x))
    np.testing.assert_allclose(norm(x).detach(), (numbers(x) - 5) / 2, atol=0.15)


def test_a_head_is_two_circular_convolutions_and_a_product_with_the_class():
    torch.manual_seed(0)
    head = Head(CHANNELS, 4, 7).eval()
    tokens, embedded = torch.randn(5, CHANNELS, PLACES), torch.randn(5, 7)

    def convolve(x, layer):
        weight, bias = numbers(layer.weight), numbers(layer.bias)
        half = weight.shape[2] // 2
        turned = [np.roll(x, half - tap, axis=2) for tap in range(weight.shape[2])]
        product = sum(
            np.einsum("oc,ncl->nol", weight[:, :, tap], part) for tap, part in enumerate(turned)
        )
        return product + bias[:, None]

    x = leaky(normalised(convolve(numbers(tokens), head.enter[0])))
    assert head.mix[0].weight.shape[2] == 9
    x = (leaky(normalised(convolve(x, head.mix[0]))) + x) / np.sqrt(2)
    x = convolve(x, head.leave)
    wanted = numbers(embedded) @ numbers(head.condition.weight).T / np.sqrt(7)
    expected = np.einsum("nol,no->nl", x, wanted) / np.sqrt(4)
    np.testing.assert_allclose(head(tokens, embedded).detach(), expected, atol=1e-5)


def test_convolutions_are_spectrally_normalised():
    head = Head(CHANNELS, 4, 7)
    for _ in range(30):  # each reading is a power iteration
        head(torch.randn(8, CHANNELS, PLACES), torch.randn(8, 7))
    for layer in (head.enter[0], head.mix[0], head.leave):
        matrix = layer.weight.detach().flatten(1)
        assert torch.linalg.matrix_norm(matrix, 2) == pytest.approx(1.0, abs=0.05)


def test_the_mapping_is_eight_slow_layers_after_a_unit_second_moment():
    torch.manual_seed(0)
    mapping = ClassMapping(CLASSES)
    x = numbers(mapping.embed.weight).T[[2, 0]] / np.sqrt(CLASSES)
    x = x / np.sqrt((x**2).mean(axis=1, keepdims=True))
    assert len(mapping.layers) == 8
    for layer in mapping.layers:
        torch.nn.init.normal_(layer.bias)
        weight = 0.01 * numbers(layer.weight) / np.sqrt(512)
        x = leaky(x @ weight.T + 0.01 * numbers(layer.bias)) * np.sqrt(2)
    got = mapping(torch.tensor([2, 0])).detach()
    assert got.shape == (2, 512)
    np.testing.assert_allclose(got, x, atol=1e-4)


def test_a_scaled_layer_has_unit_gain_and_its_rate_slows_it_down():
    torch.manual_seed(0)
    for rate in (1.0, 0.01):
        layer = ScaledLinear(400, 300, rate)
        outputs = layer(torch.randn(50, 400))
        assert outputs.std().item() == pytest.approx(1.0, abs=0.05)
        before = (layer.weight * layer.gain).detach().clone()
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
        outputs.sum().backward()
        optimizer.step()
        moved = (layer.weight * layer.gain - before).abs().max().item()
        assert moved == pytest.approx(0.1 * rate / 20, rel=1e-2)


def test_a_discriminator_has_a_head_a_map_and_hears_the_class(network):
    maps = torch.randn(2, 8, CHANNELS, 3, 4).unbind()
    logits = network(maps, torch.arange(8) % CLASSES)
    assert [tuple(part.shape) for part in logits] == [(8, PLACES)] * 2
    expected = network.heads[1](maps[1].flatten(2), network.mapping(torch.arange(8) % CLASSES))
    torch.testing.assert_close(logits[1], expected)
    other = network(maps, (torch.arange(8) + 1) % CLASSES)
    assert not torch.isclose(other[0], logits[0]).any(dim=1).all()


@pytest.mark.parametrize("kind", [ProjectedDiscriminator, ConvolutionalDiscriminator])
def test_a_reward_averages_logits_or_probabilities(kind):
    parts = [torch.tensor([[4.0, -2.0], [0.0, 1.0]]), torch.tensor([[1.0], [-3.0]])]
    mean = np.array([(1.0 + 1.0) / 2, (0.5 - 3.0) / 2])
    sigmoid = 1 / (1 + np.exp(-mean))
    np.testing.assert_allclose(kind((2,), 2, 4, "logits").reward(parts), sigmoid, rtol=1e-6)
    each = [(1 / (1 + np.exp(-numbers(part)))).mean(axis=1) for part in parts]
    got = kind((2,), 2, 4, "probabilities").reward(parts)
    np.testing.assert_allclose(got, np.mean(each, axis=0), rtol=1e-6)


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    network = ViT(ViTConfig(width=64, depth=12, heads=1, patch=4, grid=3))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_it_sees_the_patches_and_four_blocks_with_the_class_token_added(transformer):
    features, images = ViTFeatures(transformer, projected=True), torch.rand(2, 3, 12, 12)
    assert features.taps == (0, 3, 6, 9, 12)
    assert (features.widths, features.side) == ((64,) * 5, 12)
    maps = features(images)
    with torch.no_grad():
        tokens = transformer((images - features.mean) / features.deviation)
    for tap, seen in zip(features.taps, maps, strict=True):
        expected = tokens[tap][:, 1:] + tokens[tap][:, :1]
        torch.testing.assert_close(seen.flatten(2).transpose(1, 2), expected)
    plain = ViTFeatures(transformer)(images)
    assert len(plain) == 4
    added = tokens[12][:, :1].transpose(1, 2)[..., None]
    torch.testing.assert_close(plain[3] + added, maps[4])


@pytest.mark.parametrize("size", [256, 300, 100])
def test_area_resize_is_the_mean_under_each_pixel(size):
    images = torch.rand(1, 2, size, size, dtype=torch.float64)
    got = resized(images, 224, "area")
    expected = F.adaptive_avg_pool2d(images, 224)
    np.testing.assert_allclose(got, expected, atol=1e-6)
