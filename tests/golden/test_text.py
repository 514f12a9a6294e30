"""The backbone with a text's vectors computes what the published class computes."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from golden_data import TAG, deviation, golden, normal, rng, seeded

from adagen_rt.families.maskgit.network import MaskGITConfig, make_maskgit

CONFIG = MaskGITConfig(width=64, depth=5, heads=4, context=32)


@torch.no_grad()
def test_backbone():
    expected = golden("maskgit_t2i")
    ids = rng(f"{TAG}/maskgit_t2i/ids").integers(0, 1025, (3, 256))
    np.testing.assert_array_equal(ids, expected["ids"])
    context = torch.from_numpy(normal("maskgit_t2i/context", (3, 77, 32)))
    network = seeded(make_maskgit(CONFIG), "maskgit_t2i/backbone")
    logits, features = network(torch.from_numpy(ids), context)
    assert deviation(logits[:, 0], expected["logits_row0"]) < 1e-4
    assert deviation(logits.mean(-1), expected["logits_mean"]) < 1e-4
    assert deviation(features[:, 0], expected["feat_row0"]) < 1e-4
    assert deviation(features.norm(dim=-1), expected["feat_norm"]) < 1e-4
