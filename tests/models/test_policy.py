import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import POLICY_SCALE, deviation, golden, normal, seeded

from adagen_rt.extent import Extent
from adagen_rt.models.policy import (
    MultiScalePolicy,
    PolicyConfig,
    PolicyNetwork,
    make_critic,
    over_maps,
)


@pytest.mark.parametrize("name", ["maskgit", "dit", "sit", "var_d16", "var_d30"])
def test_raw_matches_the_published_code(name):
    expected = golden(f"policy_{name}")["raw"]
    network = PolicyNetwork(PolicyConfig(actions=expected.shape[-1], features=64))
    seeded(network, f"policy_{name}/policy", scales=POLICY_SCALE)
    raw = []
    with torch.no_grad():
        for t in range(len(expected)):
            features = torch.from_numpy(normal(f"policy_{name}/feat/{t}", (2, 256, 64)))
            raw.append(network(features, torch.full((2,), t)).numpy())
    assert deviation(raw, expected) < 1e-4


@pytest.mark.parametrize("grid", [7, 16])
def test_an_untrained_policy_is_the_static_schedule(grid):
    network = PolicyNetwork(PolicyConfig(actions=3, features=8, grid=grid, hidden=32))
    raw = network(torch.randn(2, grid * grid, 8), torch.tensor([0, 4]))
    np.testing.assert_array_equal(raw.detach(), np.zeros((2, 3)))


def test_samples_may_be_at_different_steps():
    network = PolicyNetwork(PolicyConfig(actions=2, features=8, grid=4, hidden=16)).eval()
    torch.nn.init.normal_(network.linear3.weight)
    features, steps = torch.randn(3, 16, 8), torch.tensor([0, 5, 2])
    with torch.no_grad():
        mixed = network(features, steps)
        for row in range(3):
            alone = network(features[row : row + 1], steps[row : row + 1])
            np.testing.assert_allclose(mixed[row : row + 1], alone, atol=1e-5)


def test_features_of_the_hidden_width_need_no_embedder():
    network = PolicyNetwork(PolicyConfig(actions=2, features=16, grid=4, hidden=16))
    assert not any(name.startswith("x_embedder") for name in network.state_dict())


@pytest.mark.parametrize("scale", [0, 1, 3, 4])
def test_var_features_are_resized_to_the_grid(scale):
    scales = [Extent(side, side + (side > 2)) for side in (1, 2, 3, 4, 6)]
    size = scales[scale]
    network = PolicyNetwork(PolicyConfig(actions=2, features=8, grid=4, hidden=16)).eval()
    torch.nn.init.normal_(network.linear3.weight)
    start = sum(s.area for s in scales[:scale])
    features, step = torch.randn(3, size.area, 8), torch.tensor([scale] * 3)
    maps = features.transpose(1, 2).unflatten(2, size)
    resized = torch.nn.functional.interpolate(maps, size=(4, 4), mode="bicubic")
    with torch.no_grad():
        expected = network(resized.flatten(2).transpose(1, 2), step)
        positions = torch.arange(start, start + size.area)
        raw = MultiScalePolicy(network, scales)(features, positions, step)
    np.testing.assert_allclose(raw, expected, atol=1e-5)


def fresh(initialisation):
    torch.manual_seed(0)
    config = PolicyConfig(actions=3, features=24, grid=4, hidden=64, initialisation=initialisation)
    return PolicyNetwork(config)


def test_a_published_start_is_xavier_without_biases_or_modulations():
    network = fresh("xavier")
    zero = ("adaLN1", "adaLN2", "adaLN3", "linear3")
    for name, value in network.state_dict().items():
        if name.endswith("bias") or name.startswith(zero):
            assert not value.any(), name
        elif name.startswith("t_embedder"):
            assert value.std().item() == pytest.approx(0.02, rel=0.05)
        else:
            outputs, inputs, *reach = value.shape
            places = math.prod(reach)
            bound = math.sqrt(6 / ((inputs + outputs) * places))
            assert 0.9 * bound < value.abs().max().item() <= bound, name
            assert value.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_a_plain_start_is_pytorchs_but_for_the_last_layer():
    network = fresh("plain")
    assert network.adaLN2.adaLN_modulation[1].weight.abs().max() > 0.1
    assert network.linear1.bias.any()
    bound = 1 / math.sqrt(network.linear1.in_features)
    assert 0.99 * bound < network.linear1.weight.abs().max().item() <= bound
    assert not any(parameter.any() for parameter in network.linear3.parameters())


def test_the_critic_starts_as_its_policy_does():
    assert make_critic(fresh("xavier")).config.initialisation == "xavier"
    assert not make_critic(fresh("xavier")).adaLN1.adaLN_modulation[1].weight.any()
    assert make_critic(fresh("plain")).adaLN1.adaLN_modulation[1].weight.any()


@pytest.mark.parametrize("side", [4, 6, 8, 9])
def test_features_of_another_side_are_averaged_to_the_grid(side):
    network = PolicyNetwork(PolicyConfig(actions=2, features=8, grid=4, hidden=16)).eval()
    torch.nn.init.normal_(network.linear3.weight)
    features, step = torch.randn(3, side * side, 8), torch.tensor([0, 2, 1])
    maps = features.transpose(1, 2).unflatten(2, (side, side))
    pooled = torch.nn.functional.interpolate(maps, size=(4, 4), mode="area")
    fitted = over_maps(network, Extent(side, side))
    assert (fitted is network) == (side == 4)
    with torch.no_grad():
        expected = network(pooled.flatten(2).transpose(1, 2), step)
        np.testing.assert_allclose(fitted(features, step), expected, atol=1e-5)
