import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.models.layers import Attention, merge_heads, sinusoidal_embedding, split_heads


def test_sinusoids_are_cosines_first():
    embedding = sinusoidal_embedding(torch.tensor([0, 3]), 4)
    expected = [math.cos(3), math.cos(0.03), math.sin(3), math.sin(0.03)]
    np.testing.assert_allclose(embedding[0], [1, 1, 0, 0])
    np.testing.assert_allclose(embedding[1], expected, rtol=1e-6)


def test_sinusoids_stay_in_float32():
    assert sinusoidal_embedding(torch.tensor([0.5], dtype=torch.float16), 8).dtype == torch.float32


def test_fused_projection_is_laid_out_by_part_then_head():
    qkv = torch.arange(12.0).reshape(1, 1, 12)
    q, k, v = split_heads(qkv, heads=2)
    np.testing.assert_array_equal(q[0, :, 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(k[0, :, 0], [[4, 5], [6, 7]])
    np.testing.assert_array_equal(merge_heads(v)[0, 0], [8, 9, 10, 11])


def test_attention_is_a_softmax_of_scaled_products():
    layer = Attention(8, 2, qkv_bias=True).eval()
    x = torch.randn(2, 5, 8)
    q, k, v = split_heads(layer.qkv(x), 2)
    weights = (q @ k.transpose(-1, -2) / math.sqrt(4)).softmax(dim=-1)
    with torch.no_grad():
        np.testing.assert_allclose(layer(x), layer.proj(merge_heads(weights @ v)), atol=1e-6)
