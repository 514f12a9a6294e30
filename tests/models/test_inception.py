"""The Inception network of published FIDs: its names, sizes, pools, and how images come to it."""

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F

from adagen_rt.models.inception import SIDE, Inception, Mixed, enlarged

#: Parameters of Inception v3 without its auxiliary classifier, and without its last layer.
TRUNK = 21_785_568


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Inception()


def test_it_has_the_published_names_and_sizes(network):
    state = network.state_dict()
    assert sum(p.numel() for p in network.parameters()) == TRUNK + 2048 * 1008 + 1008
    assert sum(name.endswith(".conv.weight") for name in state) == 94
    shapes = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch3x3dbl_3.bn.bias": (96,),
        "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
        "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
        "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3_2b.conv.weight": (384, 384, 3, 1),
        "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
        "fc.weight": (1008, 2048),
    }
    assert {name: tuple(state[name].shape) for name in shapes} == shapes


def test_what_it_gives(network):
    seen = network(torch.rand(2, 3, SIDE, SIDE) * 2 - 1)
    assert seen.pooled.shape == (2, 2048)
    assert seen.spatial.shape == (2, 7 * 17 * 17)
    assert seen.logits.shape == (2, 1008)
    torch.testing.assert_close(seen.logits + network.fc.bias, network.fc(seen.pooled))
    alone = network(torch.zeros(1, 3, SIDE, SIDE))
    assert not torch.equal(alone.pooled, seen.pooled[:1])


def test_spatial_features_are_places_first(network):
    """As the published reference's are: a place's seven channels stand side by side."""
    images = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    kept = {}
    block = network.Mixed_6d
    handle = block.branch1x1.register_forward_hook(lambda _, __, out: kept.update(out=out))
    spatial = network(images).spatial
    handle.remove()
    torch.testing.assert_close(spatial[0, :7], kept["out"][0, :7, 0, 0])
    torch.testing.assert_close(spatial[0, 7:14], kept["out"][0, :7, 0, 1])


def test_average_pools_count_real_places_alone():
    block = Mixed(1, (("average",),))
    ones = torch.ones(1, 1, 5, 5)
    found = block._run(("average",), ones)
    torch.testing.assert_close(found, ones)


def test_images_are_resized_by_the_first_corners_or_by_the_edges():
    images = torch.rand(2, 3, 32, 48)
    later = F.interpolate(images, (SIDE, SIDE), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged(images, "edges"), later, atol=1e-5, rtol=1e-4)
    first = enlarged(images, "first")
    torch.testing.assert_close(first[..., 0, 0], images[..., 0, 0])
    # Row 100 lies at 100 * 32 / 299 = 10.702..., column 200 at 200 * 48 / 299 = 32.107...
    down, right = 100 * 32 / 299 - 10, 200 * 48 / 299 - 32
    square = images[..., 10:12, 32:34]
    rows = square[..., 0, :] * (1 - down) + square[..., 1, :] * down
    expected = rows[..., 0] * (1 - right) + rows[..., 1] * right
    torch.testing.assert_close(first[..., 100, 200], expected, atol=1e-5, rtol=1e-4)
    # The last pixels repeat: nothing lies behind them.
    torch.testing.assert_close(first[..., -1, -1], images[..., -1, -1])
