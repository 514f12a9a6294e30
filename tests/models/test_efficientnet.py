"""EfficientNet-Lite0: shapes, padding and names; its weights are not needed."""

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from adagen_rt.errors import CheckpointError, MissingExtraError
from adagen_rt.evaluation import features
from adagen_rt.evaluation.features import EffNetFeatures, load_features
from adagen_rt.models.efficientnet import FEATURES, EfficientNetLite0, SameConv


@pytest.mark.parametrize(("size", "stride"), [(8, 2), (7, 2), (8, 1)])
def test_convolutions_are_padded_as_tensorflow_pads(size, stride):
    """An impulse at the last place; the first output of an even size starts at the first pixel."""
    convolution = SameConv(1, 1, 3, stride)
    convolution.weight.data = torch.arange(9.0).view(1, 1, 3, 3)
    image = torch.zeros(1, 1, size, size)
    image[0, 0, 0, 0] = 1
    mapped = convolution(image)
    assert mapped.shape[-1] == -(-size // stride)
    # Padding goes behind: at an even size and stride 2, the corner lies under the kernel's corner.
    assert mapped[0, 0, 0, 0] == (0 if size % 2 == 0 and stride == 2 else 4)


def test_its_tensors_are_those_of_the_published_file():
    state = EfficientNetLite0().state_dict()
    assert len(state) == 296
    assert state["_blocks.15._project_conv.weight"].shape == (320, 1152, 1, 1)
    assert state["_fc.weight"].shape == (1000, FEATURES)
    assert "_blocks.0._expand_conv.weight" not in state


def test_files_and_names_are_told_apart(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = EfficientNetLite0()
    save_file(network.state_dict(), tmp_path / "lite.safetensors")
    loaded = load_features(tmp_path / "lite.safetensors")
    assert isinstance(loaded, EffNetFeatures)
    images = torch.rand(2, 1, 20, 20)
    classes, seen = loaded(images)
    assert classes is None
    assert seen.shape == (2, FEATURES)
    torch.testing.assert_close(seen, network(images.expand(-1, 3, -1, -1)))
    assert network.classify(images).shape == (2, 1000)
    save_file(
        {"_conv_stem.weight": torch.zeros(1), "_conv_head.weight": torch.zeros(1)},
        tmp_path / "b.safetensors",
    )
    with pytest.raises(CheckpointError, match="_blocks"):
        load_features(tmp_path / "b.safetensors")
    monkeypatch.setattr(features, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(MissingExtraError, match="judge"):
        load_features(features.Path("efficientnet-lite0"))
