import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import DATA, TAG, deviation, golden, normal, rng, seeded

from adagen_rt.models.autoencoder import (
    VQGAN,
    AutoencoderKL,
    AutoencoderKLConfig,
    VQGANConfig,
)
from adagen_rt.models.multiscale import MultiScaleConfig, MultiScaleVQVAE

PUBLISHED = {
    "autoencoder_kl_ema.pth": (AutoencoderKL, AutoencoderKLConfig()),
    "vqgan_jax_strongaug.ckpt (under the key state_dict, if present)": (VQGAN, VQGANConfig()),
    "vae_ch160v4096z32.pth": (MultiScaleVQVAE, MultiScaleConfig()),
}
SMALL = {"image_channels": 1, "channels": 8, "multipliers": (1, 2), "groups": 4}
SMALL |= {"encoder_blocks": 1, "decoder_blocks": 1}
SCALES = {"latent_channels": 6, "vocabulary": 32, "scales": (1, 2, 4), "phis": (0, 1, 1)}


def small_multiscale():
    torch.manual_seed(0)
    return MultiScaleVQVAE(MultiScaleConfig(**SMALL, **SCALES)).eval()


@pytest.mark.parametrize("file", PUBLISHED)
def test_every_published_tensor_has_its_name_and_shape(file):
    expected = json.loads((DATA / "checkpoint_keys.json").read_text())[file]
    kind, config = PUBLISHED[file]
    with torch.device("meta"):
        state = kind(config).state_dict()
    assert {k: list(v.shape) for k, v in state.items()} == {k: v[0] for k, v in expected.items()}


@torch.no_grad()
def test_kl_decoder_matches_the_published_one():
    model = seeded(AutoencoderKL(AutoencoderKLConfig()), "autoencoder_kl")
    image = model.decode(torch.from_numpy(normal("autoencoder_kl/z", (1, 4, 32, 32))))
    assert deviation(image[:, :, ::16, ::16], golden("decoders")["autoencoder_kl"]) < 1e-3


@torch.no_grad()
def test_vqgan_decoder_matches_the_published_one():
    model = seeded(VQGAN(VQGANConfig()), "vqgan")
    ids = rng(f"{TAG}/vqgan/ids").integers(0, 1024, (1, 16, 16))
    image = model.decode_tokens(torch.from_numpy(ids).flatten(1))
    assert deviation(image[:, :, ::16, ::16], golden("decoders")["vqgan"]) < 1e-3


@torch.no_grad()
def test_var_decoder_matches_the_published_one():
    model = seeded(MultiScaleVQVAE(MultiScaleConfig()), "var_vae")
    image = model.decode(torch.from_numpy(normal("var_vae/f_hat", (1, 32, 16, 16))))
    assert image.abs().max() <= 1
    assert deviation(image[:, :, ::16, ::16], golden("decoders")["var_vae"]) < 1e-3


@torch.no_grad()
@pytest.mark.parametrize(("file", "kind"), [("vqgan", VQGAN), ("kl", AutoencoderKL)])
def test_encoding_halves_once_per_level(file, kind):
    configs = {"vqgan": VQGANConfig(**SMALL, latent_channels=4, vocabulary=16)}
    configs["kl"] = AutoencoderKLConfig(**SMALL)
    model = kind(configs[file]).eval()
    images = torch.rand(2, 1, 16, 16)
    codes = model.encode(images)
    assert codes.shape == ((2, 64) if file == "vqgan" else (2, 4, 8, 8))
    decode = model.decode_tokens if file == "vqgan" else model.decode
    assert decode(codes).shape == images.shape


@torch.no_grad()
def test_kl_latents_are_scaled_both_ways():
    torch.manual_seed(0)
    model = AutoencoderKL(AutoencoderKLConfig(**SMALL)).eval()
    images = torch.rand(1, 1, 16, 16)
    mean, _ = model.moments(images)
    torch.testing.assert_close(model.encode(images), mean * 0.18215)
    other = AutoencoderKL(replace(model.config, latent_scale=1.0)).eval()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.decode(mean * 0.18215), other.decode(mean))


@torch.no_grad()
def test_nearest_code_is_the_nearest():
    model = VQGAN(VQGANConfig(**SMALL, latent_channels=4, vocabulary=16))
    maps = torch.randn(2, 4, 3, 3)
    distance = torch.cdist(maps.movedim(1, -1).reshape(-1, 4), model.quantize.embedding.weight)
    np.testing.assert_array_equal(model.quantize.nearest(maps).flatten(), distance.argmin(dim=1))


@torch.no_grad()
def test_refining_scale_by_scale_gives_the_sums_of_encoding():
    model = small_multiscale()
    quantizer = model.quantize
    tokens, sums = quantizer.quantize(model.latents(torch.rand(2, 1, 8, 8)))
    f_hat = torch.zeros(2, 6, 4, 4)
    for scale, phi in enumerate(quantizer.phis):
        span = quantizer.span(scale)
        after = quantizer.span(min(scale + 1, 2))
        f_hat, inputs = quantizer.refine(
            tokens[scale],
            torch.arange(span.start, span.stop),
            torch.arange(after.start, after.stop),
            torch.tensor(phi),
            f_hat,
        )
        torch.testing.assert_close(f_hat, sums[scale])
        torch.testing.assert_close(inputs, quantizer.shrink(f_hat, after))


@torch.no_grad()
def test_teacher_inputs_are_what_refining_feeds_the_next_scale():
    model = small_multiscale()
    quantizer = model.quantize
    tokens, sums = quantizer.quantize(model.latents(torch.rand(2, 1, 8, 8)))
    inputs, f_hat = quantizer.teacher_inputs(torch.cat(tokens, dim=1))
    torch.testing.assert_close(f_hat, sums[-1])
    expected = [quantizer.shrink(sums[i], quantizer.span(i + 1)) for i in range(2)]
    torch.testing.assert_close(inputs, torch.cat(expected, dim=1))


@torch.no_grad()
def test_published_var_indices_refine_to_the_published_sum():
    arrays = golden("var")
    model = seeded(MultiScaleVQVAE(MultiScaleConfig(channels=32)), "var/vae")
    _, f_hat = model.quantize.teacher_inputs(torch.from_numpy(arrays["indices"]).long())
    assert deviation(f_hat, arrays["f_hat"]) < 1e-3
    image = (model.decode(f_hat) + 1) / 2
    assert deviation(image[:, :, ::16, ::16], arrays["image_sub"]) < 1e-3


def test_a_scale_without_a_convolution_is_refused():
    with pytest.raises(ValueError, match="phis"):
        MultiScaleVQVAE(MultiScaleConfig(**SMALL, **(SCALES | {"phis": (0,)})))
