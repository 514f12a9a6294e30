"""The three published decoders at full size, through the ONNX path."""

import pytest

torch = pytest.importorskip("torch")

import numpy as np
from golden_data import TAG, deviation, golden, normal, rng, seeded

from adagen_rt.backends.onnxruntime.session import OnnxRuntime
from adagen_rt.engine.precision import save_graph
from adagen_rt.export.onnx_export import GraphPlan, Method, build_graph
from adagen_rt.export.recipe import load_recipe
from golden.engines import RECIPES

CASES = {
    "autoencoder_kl": ("dit-xl-2", "decode", "latents"),
    "vqgan": ("maskgit-l", "decode_tokens", "tokens"),
    "var_vae": ("var-d16", "decode", "latents"),
}


def golden_input(name):
    if name == "autoencoder_kl":
        return normal("autoencoder_kl/z", (1, 4, 32, 32))
    if name == "vqgan":
        return rng(f"{TAG}/vqgan/ids").integers(0, 1024, (1, 16, 16)).reshape(1, 256)
    return normal("var_vae/f_hat", (1, 32, 16, 16))


@pytest.mark.parametrize("name", CASES)
def test_image(name, tmp_path):
    recipe, method, key = CASES[name]
    decoder = seeded(load_recipe(RECIPES / f"{recipe}.yaml").make_decoder(), name)
    given = golden_input(name)
    example = torch.from_numpy(np.concatenate([given, given]))
    plan = GraphPlan(
        "decoder", Method(decoder, method), {key: example}, ("image",), {key: {0: "rows"}}
    )
    save_graph(build_graph(plan, "float32"), tmp_path / "decoder.onnx")
    image = OnnxRuntime(threads=2).load(tmp_path / "decoder.onnx").run({key: given})["image"]
    assert deviation(image[:, :, ::16, ::16], golden("decoders")[name]) < 1e-3
