import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation, golden, seeded

from adagen_rt.families.maskgit.network import (
    MaskGIT,
    MaskGITConfig,
    gather_patches,
    spread_patches,
)

SMALL = MaskGITConfig(width=32, depth=3, heads=4, vocabulary=16, tokens=9, classes=5)


def test_first_forward_matches_the_published_code():
    expected = golden("maskgit")
    config = MaskGITConfig(width=64, depth=5, heads=4)
    model = seeded(MaskGIT(config), "maskgit/backbone")
    tokens = torch.full((3, config.tokens.area), config.vocabulary)
    with torch.no_grad():
        logits, features = model(tokens, torch.from_numpy(expected["labels"]))
    assert deviation(logits[:, 0], expected["first_logits_row0"]) < 1e-4
    assert deviation(features[:, 0], expected["first_feat_row0"]) < 1e-4


def test_rows_do_not_depend_on_each_other():
    model = MaskGIT(SMALL).eval()
    tokens = torch.randint(0, SMALL.vocabulary + 1, (3, SMALL.tokens.area))
    labels = torch.tensor([0, 3, SMALL.classes])
    with torch.no_grad():
        together = model(tokens, labels)
        alone = model(tokens[1:2], labels[1:2])
    for whole, part in zip(together, alone, strict=True):
        np.testing.assert_allclose(whole[1:2], part, atol=1e-5)


def test_skips_join_in_reverse_order():
    config = MaskGITConfig(width=32, depth=5, heads=4, vocabulary=16, tokens=9, classes=5)
    model = MaskGIT(config).eval()
    seen = {}

    def note(name):
        def hook(_module, arguments, output):
            seen[name] = output if name.startswith("in") else arguments[1]

        return hook

    for index in range(2):
        model.in_blocks[index].register_forward_hook(note(f"in{index}"))
        model.out_blocks[index].register_forward_hook(note(f"out{index}"))
    model(torch.zeros(1, 9, dtype=torch.int64), torch.zeros(1, dtype=torch.int64))
    assert seen["out0"] is seen["in1"]
    assert seen["out1"] is seen["in0"]


PATCHED = MaskGITConfig(
    width=32, depth=3, heads=4, vocabulary=16, tokens=(4, 6), patch=2, classes=5
)


def test_a_patch_is_a_square_of_the_map():
    places = torch.arange(24)[None]
    patches = gather_patches(places, PATCHED)
    assert patches.shape == (1, 6, 4)
    assert patches[0, 0].tolist() == [0, 1, 6, 7]
    assert patches[0, 4].tolist() == [14, 15, 20, 21]
    assert spread_patches(patches[..., None], PATCHED)[..., 0].equal(places)


def test_every_token_of_a_patch_has_its_own_logits():
    torch.manual_seed(0)
    model = MaskGIT(PATCHED)
    tokens = torch.randint(0, 16, (8, 24))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(60):
        logits, features = model(tokens, torch.arange(8) % 5)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert features.shape == (8, 6, 32)
    assert logits.argmax(dim=2).equal(tokens)


@pytest.mark.parametrize(
    "wrong", [{"depth": 4}, {"heads": 5}, {"patch": 3}, {"patch": 8, "width": 96}]
)
def test_config_refuses_sizes_that_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MaskGITConfig(**wrong)
