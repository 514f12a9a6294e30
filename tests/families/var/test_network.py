from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import POLICY_SCALE, deviation, golden, gumbel, seeded

from adagen_rt.families.var.network import VAR, VARConfig
from adagen_rt.models.multiscale import MultiScaleConfig, MultiScaleQuantizer
from adagen_rt.models.policy import MultiScalePolicy, PolicyConfig, PolicyNetwork
from adagen_rt.models.seeded import seeded_fill

SMALL = VARConfig(
    width=32, depth=2, heads=4, scales=(1, 2, 3), vocabulary=16, code_width=8, classes=5
)


@pytest.fixture
def small():
    model = VAR(SMALL).eval()
    seeded_fill(model, "test", "var")
    return model


def spans(scales):
    ends = np.cumsum([scale.area for scale in scales])
    return [torch.arange(end - s.area, end) for s, end in zip(scales, ends, strict=True)]


def stepper(model, labels):
    """Return a function that runs one scale and keeps the cache."""
    config = model.config
    condition = model.condition(labels)
    cache = torch.zeros(0, config.depth, 2, len(labels), config.width)

    def step(inputs, positions):
        nonlocal cache
        logits, features, new = model(inputs, positions, cache, *condition)
        cache = torch.cat([cache, new])
        return logits, features

    return step


@torch.no_grad()
def test_cached_steps_are_teacher_forcing(small):
    labels = torch.tensor([1, 5])
    inputs = torch.randn(2, SMALL.tokens - 1, SMALL.code_width)
    expected = small.teacher(labels, inputs)
    step = stepper(small, labels)
    padded = torch.cat([torch.full((2, 1, SMALL.code_width), 9.0), inputs], dim=1)
    for positions in spans(SMALL.scales):
        logits, _ = step(padded[:, positions], positions)
        np.testing.assert_allclose(logits, expected[:, positions], atol=1e-5)


@torch.no_grad()
def test_teacher_sees_no_later_scale(small):
    labels, inputs = torch.tensor([2]), torch.randn(1, SMALL.tokens - 1, SMALL.code_width)
    changed = inputs.clone()
    changed[:, 4:] += 1.0  # the third scale's inputs
    before, after = small.teacher(labels, inputs), small.teacher(labels, changed)
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@torch.no_grad()
def test_new_cache_has_normalised_keys(small):
    condition = small.condition(torch.tensor([2]))
    cache = torch.zeros(0, SMALL.depth, 2, 1, SMALL.width)
    new = small(torch.zeros(1, 1, SMALL.code_width), torch.tensor([0]), cache, *condition)[2]
    assert new.shape == (1, SMALL.depth, 2, 1, SMALL.width)
    norms = new[:, :, 0].unflatten(-1, (SMALL.heads, -1)).norm(dim=-1)
    np.testing.assert_allclose(norms, np.ones_like(norms), atol=1e-5)


def test_seeded_fill_leaves_the_mask_and_the_zero_bias(small):
    assert torch.isinf(small.attn_bias_for_masking).any()
    assert not small.blocks[0].attn.zero_k_bias.any()


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"scales": (2, 3)}])
def test_config_refuses_sizes_that_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VARConfig(**wrong)


def sample(logits, _cfg, top_k, top_p, temperature, noise):
    """A plain reading of VAR's sampling rule for one sample; logits (n, V)."""
    kth = logits.topk(int(top_k), dim=-1).values[:, -1:]
    logits = logits.masked_fill(logits < kth, -torch.inf)
    ordered, order = logits.sort(dim=-1)
    dropped = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
    dropped[:, -1] = False
    logits = logits.masked_fill(dropped.scatter(1, order, dropped), -torch.inf)
    return (logits / temperature + noise).argmax(dim=-1)


def test_a_shared_modulation_is_a_layer_of_every_block_with_other_biases():
    torch.manual_seed(0)
    shared, own = VAR(replace(SMALL, shared_norm=True)), VAR(SMALL)
    for parameter in shared.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    state = shared.state_dict()
    weight, bias = (state.pop(f"shared_ada_lin.1.{name}") for name in ("weight", "bias"))
    for layer in range(SMALL.depth):
        added = state.pop(f"blocks.{layer}.ada_gss").flatten()
        layers = {"ada_lin.1.weight": weight, "ada_lin.1.bias": bias + added}
        state |= {f"blocks.{layer}.{name}": value for name, value in layers.items()}
    own.load_state_dict(state)
    labels = torch.tensor([2, 5])
    with torch.no_grad():
        for got, expected in zip(shared.condition(labels), own.condition(labels), strict=True):
            torch.testing.assert_close(got, expected)


class Published:
    """The published VAR trajectory, replayed on the torch modules alone."""

    def __init__(self):
        self.expected = golden("var")
        config = VARConfig(width=128, depth=2, heads=2)
        vae = MultiScaleConfig()
        self.model = seeded(VAR(config), "var/backbone")
        self.quantizer = MultiScaleQuantizer(4096, 32, vae.scales, vae.phis)
        seeded_fill_as(self.quantizer, "quantize")
        network = PolicyNetwork(PolicyConfig(actions=4, features=128))
        seeded(network, "var/policy", scales=POLICY_SCALE)
        self.policy = MultiScalePolicy(network, config.scales)
        labels = torch.from_numpy(self.expected["labels"])
        self.step = stepper(self.model, torch.cat([labels, torch.full_like(labels, 1000)]))

    def scale(self, index, inputs, positions):
        """Run one scale; returns its tokens, raw actions and resized features."""
        logits, features = self.step(inputs.repeat(2, 1, 1), positions)
        cond, null = logits.chunk(2)
        raw = self.policy(features[:3], positions, torch.full((3,), index))
        noise = torch.from_numpy(gumbel(f"var/token_gumbel/{index}", (3 * len(positions), 4096)))
        noise = noise.unflatten(0, (3, -1))
        rows = []
        for row, action in enumerate(self.expected["policy_action"][index]):
            guidance = action[0] * index / 9
            guided = (1 + guidance) * cond[row] - guidance * null[row]
            rows.append(sample(guided, *action, noise[row]))
        return torch.stack(rows), raw, self.policy.resize(features[:3], positions)[:, 0]


def seeded_fill_as(quantizer, prefix):
    """Fill the quantiser with the weights it has inside the whole tokenizer."""
    outer = torch.nn.Module()
    setattr(outer, prefix, quantizer)
    seeded(outer, "var/vae")


@torch.no_grad()
def test_trajectory_matches_the_published_code():
    run = Published()
    expected, positions = run.expected, spans(run.model.config.scales)
    f_hat, inputs = torch.zeros(3, 32, 16, 16), torch.zeros(3, 1, 32)
    tokens, raws, features = [], [], []
    for index, here in enumerate(positions):
        chosen, raw, feature = run.scale(index, inputs, here)
        following = positions[min(index + 1, 9)]
        phi = run.quantizer.phis[index]
        f_hat, inputs = run.quantizer.refine(chosen, here, following, phi, f_hat)
        tokens.append(chosen)
        raws.append(raw)
        features.append(feature)
    np.testing.assert_array_equal(torch.cat(tokens, dim=1), expected["indices"])
    assert deviation(torch.stack(raws), expected["raw"]) < 1e-4
    assert deviation(torch.stack(features), expected["feat_row0"]) < 1e-4
    assert deviation(f_hat, expected["f_hat"]) < 1e-3
