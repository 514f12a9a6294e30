"""Positions of patches of latents of any size are those of diffusers."""

import pytest

pytest.importorskip("diffusers")

import numpy as np
import torch
from diffusers.models.embeddings import PatchEmbed
from short_form import slow
from torch import nn

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.precision import save_graph
from adagen_rt.export.diffusers.positions import OpenPatches, open_patches
from adagen_rt.export.onnx_export import GraphPlan, build_graph

#: Height and width in patches.
SIZES = [(4, 4), (1, 1), (3, 5), (5, 2), (7, 6), (2, 7)]
#: Largest side of the table, in patches; None where positions are computed.
MOST = [8, 7, None]


def make_embed(most, **options):
    torch.manual_seed(0)
    sizes = {"height": 8, "width": 8, "patch_size": 2, "embed_dim": 16, "in_channels": 3}
    return PatchEmbed(**sizes | options, pos_embed_max_size=most)


@pytest.mark.parametrize("most", MOST)
def test_they_are_those_of_the_original(most):
    embed = make_embed(most)
    for height, width in SIZES:
        x = torch.randn(2, 3, 2 * height, 2 * width)
        torch.testing.assert_close(OpenPatches(embed)(x), embed(x), rtol=0, atol=1e-6)


def test_positions_of_the_published_size():
    """PixArt-Sigma's of 1,024 pixels, at a size of other sides."""
    sizes = {"height": 128, "width": 128, "embed_dim": 1152, "in_channels": 4}
    embed = make_embed(None, **sizes, interpolation_scale=2)
    for height, width in ((64, 64), (47, 81)):
        x = torch.zeros(1, 4, 2 * height, 2 * width)
        torch.testing.assert_close(OpenPatches(embed)(x), embed(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("most", [MOST[0], *slow(MOST[1]), MOST[2]])
def test_one_graph_has_them_all(most, tmp_path):
    embed = make_embed(most)
    x, dynamic = torch.randn(2, 3, 8, 8), {"x": {0: "rows", 2: "height", 3: "width"}}
    plan = GraphPlan("backbone", OpenPatches(embed), {"x": x}, ("y",), dynamic)
    save_graph(build_graph(plan, "float32"), tmp_path / "patches.onnx")
    graph = OnnxRuntime(threads=1).load(tmp_path / "patches.onnx")
    for height, width in SIZES:
        x = torch.randn(1, 3, 2 * height, 2 * width)
        with torch.no_grad():
            expected = embed(x).numpy()
        np.testing.assert_allclose(graph.run({"x": x.numpy()})["y"], expected, rtol=0, atol=1e-5)


def test_positions_of_a_network_are_opened():
    parts = {"one": nn.Sequential(make_embed(8)), "two": make_embed(None)}
    network = nn.ModuleDict({**parts, "none": make_embed(None, pos_embed_type=None)})
    open_patches(network)
    assert isinstance(network["one"][0], OpenPatches)
    assert isinstance(network["two"], OpenPatches)
    assert isinstance(network["none"], PatchEmbed)
