import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation, golden, seeded

from adagen_rt.families.maskgit.network import MaskGIT, MaskGITConfig

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


@pytest.mark.parametrize("wrong", [{"depth": 4}, {"heads": 5}])
def test_config_refuses_sizes_that_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MaskGITConfig(**wrong)
