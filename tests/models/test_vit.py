import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from adagen_rt.errors import CheckpointError
from adagen_rt.models.features import load_vit_features
from adagen_rt.models.vit import ViT, ViTConfig

SIZES = ViTConfig(width=128, depth=6, heads=2, patch=4, grid=3)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = ViT(SIZES).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


def test_parameter_names_are_the_published_ones():
    block = [
        *("norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight"),
        *("attn.proj.bias", "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias"),
        *("mlp.fc2.weight", "mlp.fc2.bias"),
    ]
    expected = {f"blocks.{index}.{name}" for index in range(6) for name in block}
    expected |= {"cls_token", "pos_embed", "norm.weight", "norm.bias"}
    expected |= {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert set(ViT(SIZES).state_dict()) == expected


def test_sizes_are_read_off_a_checkpoint(network):
    assert ViTConfig.of(network.state_dict()) == SIZES


def test_blocks_are_those_of_a_pre_norm_transformer(network):
    images = torch.randn(2, 3, 12, 12)
    x = network.patch_embed(images)
    x = torch.cat([network.cls_token.expand(2, -1, -1), x], dim=1) + network.pos_embed
    with torch.no_grad():
        embedded, *after = network(images)
        np.testing.assert_allclose(embedded, x, atol=1e-6)
        for block, tokens in zip(network.blocks, after, strict=True):
            layer = torch.nn.TransformerEncoderLayer(
                128, 2, 512, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True
            )
            state = block.state_dict()
            renamed = {
                "self_attn.in_proj_weight": state["attn.qkv.weight"],
                "self_attn.in_proj_bias": state["attn.qkv.bias"],
                "self_attn.out_proj.weight": state["attn.proj.weight"],
                "self_attn.out_proj.bias": state["attn.proj.bias"],
            }
            for ours, theirs in (("mlp.fc1", "linear1"), ("mlp.fc2", "linear2")):
                renamed |= {f"{theirs}.{p}": state[f"{ours}.{p}"] for p in ("weight", "bias")}
            for name in ("norm1", "norm2"):
                renamed |= {f"{name}.{p}": state[f"{name}.{p}"] for p in ("weight", "bias")}
            layer.load_state_dict(renamed)
            x = layer.eval()(x)
            np.testing.assert_allclose(tokens, x, atol=1e-5)


def test_features_of_a_file_are_maps_of_images_of_any_size(network, tmp_path):
    state = {**network.state_dict(), "head.weight": torch.zeros(10, 128)}
    save_file(state, tmp_path / "vit.safetensors")
    features = load_vit_features(tmp_path / "vit.safetensors")
    assert features.widths == (128,) * 4
    assert features.taps == (1, 3, 4, 6)
    for side in (12, 32):
        maps = features(torch.rand(2, 3, side, side))
        assert [tuple(m.shape) for m in maps] == [(2, 128, 3, 3)] * 4
    assert not any(parameter.requires_grad for parameter in features.parameters())
    image = torch.rand(1, 3, 12, 12)
    mean, deviation = (
        torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    tokens = network((image - mean) / deviation)[6].detach()
    np.testing.assert_allclose(features(image)[3][0, :, 1, 2], tokens[0, 6], atol=1e-6)


def test_another_file_is_refused(network, tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="expected a vision transformer"):
        load_vit_features(tmp_path / "other.safetensors")
    state = {**network.state_dict(), "register_tokens": torch.zeros(1, 4, 128)}
    save_file(state, tmp_path / "registers.safetensors")
    with pytest.raises(CheckpointError, match="unexpected register_tokens"):
        load_vit_features(tmp_path / "registers.safetensors")
