import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import POLICY_SCALE, deviation, golden, normal, seeded

from adagen_rt.models.policy import PolicyConfig, PolicyNetwork


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
