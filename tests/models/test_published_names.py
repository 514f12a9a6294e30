"""Every name, shape and dtype of the published files, on the meta device."""

import json
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from golden_data import DATA

from adagen_rt.export.description import describe_image
from adagen_rt.export.networks import make_policy
from adagen_rt.export.recipe import load_recipe
from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig, make_maskgit
from adagen_rt.families.var.network import VAR, VARConfig
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork

PUBLISHED = json.loads((DATA / "checkpoint_keys.json").read_text())
NETWORKS = {
    "MaskGIT-L.pth": lambda: MaskGIT(MaskGITConfig()),
    "cc3m-285000 nnet_ema.pth": lambda: make_maskgit(
        MaskGITConfig(width=1152, depth=29, heads=16, context=1280)
    ),
    "DiT-XL-2-256x256.pt": lambda: DiT(DiTConfig()),
    "SiT-XL-2-256.pt": lambda: DiT(DiTConfig(process="linear")),
    "var_d16.pth": lambda: VAR(VARConfig()),
    "var_d30.pth": lambda: VAR(VARConfig(width=1920, depth=30, heads=30)),
    "maskgit_policy.pth": lambda: PolicyNetwork(PolicyConfig(actions=4, features=768)),
    "dit_policy.pth": lambda: PolicyNetwork(PolicyConfig(actions=2, features=1152)),
    "sit_policy.pth": lambda: PolicyNetwork(PolicyConfig(actions=2, features=1152)),
    "var_d16_policy.pth": lambda: PolicyNetwork(PolicyConfig(actions=4, features=1024)),
    "var_d30_policy.pth": lambda: PolicyNetwork(PolicyConfig(actions=4, features=1920)),
}


RECIPES = Path(__file__).parents[2] / "export"


def tensors(make):
    """Give the shape and dtype of each tensor of a network."""
    with torch.device("meta"):
        state = make().state_dict()
    return {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in state.items()
    }


@pytest.mark.parametrize("file", NETWORKS)
def test_names_shapes_and_dtypes_are_the_published_ones(file):
    assert tensors(NETWORKS[file]) == PUBLISHED[file]


@pytest.mark.parametrize(
    ("recipe", "smaller", "name", "shape"),
    [
        ("dit-xl-2-512", "DiT-XL-2-256x256.pt", "pos_embed", [1, 1024, 1152]),
        (
            "maskgit-l-512",
            "MaskGIT-L.pth",
            "token_emb.position_embeddings.weight",
            [1024, 768],
        ),
    ],
)
def test_at_512_only_the_positions_are_more(recipe, smaller, name, shape):
    got = tensors(load_recipe(RECIPES / f"{recipe}.yaml").make_backbone)
    dtype = PUBLISHED[smaller][name][1]
    assert got == {**PUBLISHED[smaller], name: [shape, dtype]}


def test_var_at_512_shares_the_layer_that_modulates_its_blocks():
    sizes = {30: 36, 680: 2240} | {1920 * n: 2304 * n for n in (1, 2, 3, 4)}
    expected = {
        "shared_ada_lin.1.weight": [[6 * 2304, 2304], "float32"],
        "shared_ada_lin.1.bias": [[6 * 2304], "float32"],
    }
    for name, (shape, dtype) in PUBLISHED["var_d30.pth"].items():
        found = [[sizes.get(side, side) for side in shape], dtype]
        block = re.match(r"blocks\.(\d+)\.(.*)", name)
        if block is None:
            expected[name] = found
        elif block[1] == "0" and not block[2].startswith("ada_lin"):
            expected |= {f"blocks.{n}.{block[2]}": found for n in range(36)}
    gains = [[1, 1, 6, 2304], "float32"]
    expected |= {f"blocks.{n}.ada_gss": gains for n in range(36)}
    assert tensors(load_recipe(RECIPES / "var-d36-512.yaml").make_backbone) == expected


@pytest.mark.parametrize("recipe", ["dit-xl-2-512", "maskgit-l-512", "var-d36-512"])
def test_policies_at_512_have_the_published_sizes(recipe):
    loaded = load_recipe(RECIPES / f"{recipe}.yaml")
    assert tensors(lambda: make_policy(loaded))["linear1.weight"][0] == [1024, 8192]
    wide = loaded.changed(policy=loaded.policy.model_copy(update={"grid": None}))
    assert tensors(lambda: make_policy(wide))["linear1.weight"][0] == [1024, 32768]
    assert describe_image(loaded).size == (512, 512)
