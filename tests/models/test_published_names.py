"""Every name, shape and dtype of the published files, on the meta device."""

import json

import pytest

torch = pytest.importorskip("torch")

from golden_data import DATA

from adagen_rt.families.diffusion.network import DiT, DiTConfig
from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig
from adagen_rt.families.var.network import VAR, VARConfig
from adagen_rt.models.policy import PolicyConfig, PolicyNetwork

PUBLISHED = json.loads((DATA / "checkpoint_keys.json").read_text())
NETWORKS = {
    "MaskGIT-L.pth": lambda: MaskGIT(MaskGITConfig()),
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


@pytest.mark.parametrize("file", NETWORKS)
def test_names_shapes_and_dtypes_are_the_published_ones(file):
    with torch.device("meta"):
        state = NETWORKS[file]().state_dict()
    got = {
        name: [list(value.shape), str(value.dtype).removeprefix("torch.")]
        for name, value in state.items()
    }
    assert got == PUBLISHED[file]
