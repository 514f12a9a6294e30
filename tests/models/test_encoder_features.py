"""Features of a generator's own tokenizer."""

import pytest

torch = pytest.importorskip("torch")

from adagen_rt.models.autoencoder import AutoencoderKL, AutoencoderKLConfig
from adagen_rt.models.features import EncoderFeatures


def test_the_last_map_is_what_the_encoder_codes():
    torch.manual_seed(0)
    config = AutoencoderKLConfig(channels=8, multipliers=(1, 2), groups=4, encoder_blocks=1)
    encoder = AutoencoderKL(config).encoder
    features = EncoderFeatures(encoder, (-1.0, 1.0), 16)
    images = torch.rand(2, 3, 16, 24)
    maps = features(images)
    assert tuple(one.shape[1] for one in maps) == features.widths == (8, 8, 16, 16)
    assert [one.shape[2:] for one in maps] == [(16, 24), (8, 12), (8, 12), (8, 12)]
    coded = encoder.conv_out(torch.nn.functional.silu(encoder.norm_out(maps[-1])))
    torch.testing.assert_close(coded, encoder(2 * images - 1))
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
