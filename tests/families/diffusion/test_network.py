import numpy as np
import pytest

torch = pytest.importorskip("torch")

from golden_data import deviation, golden, normal, seeded

from adagen_rt.extent import Extent
from adagen_rt.families.diffusion.network import DiT, DiTConfig, grid_embedding

SMALL = DiTConfig(width=32, depth=2, heads=4, size=8, classes=5)


def first_noise(process, x, t, prediction, guidance):
    """The guided noise: guidance acts on the first three channels, on v for SiT."""
    cond, null = prediction.chunk(2)
    guided = cond.clone()
    guided[:, :3] += guidance * (cond - null)[:, :3]
    return guided if process == "vp" else x - t * guided


@pytest.mark.parametrize(("family", "process"), [("dit", "vp"), ("sit", "linear")])
def test_first_prediction_matches_the_published_code(family, process):
    expected = golden(family)
    config = DiTConfig(width=64, depth=2, heads=4, process=process)
    model = seeded(DiT(config), f"{family}/backbone")
    x = torch.from_numpy(normal(f"{family}/z", (3, 4, 32, 32)))
    t = torch.from_numpy(expected["eval_t"][0])
    labels = torch.from_numpy(expected["labels"])
    null = torch.full_like(labels, config.classes)
    with torch.no_grad():
        prediction, features = model(x.repeat(2, 1, 1, 1), t.repeat(2), torch.cat([labels, null]))
    # Evaluation 0 uses the guidance of the policy's call 1.
    guidance = torch.from_numpy(expected["policy_action"][1, :, 1])[:, None, None, None]
    noise = first_noise(process, x, t[:, None, None, None], prediction, guidance)
    assert features.shape == (6, 256, 64)
    assert deviation(noise, expected["first_noise_prediction"]) < 1e-4


def test_untrained_prediction_is_zero_and_has_the_latents_shape():
    model = DiT(SMALL).eval()
    prediction, features = model(torch.randn(2, 4, 8, 8), torch.rand(2), torch.tensor([0, 5]))
    np.testing.assert_array_equal(prediction.detach(), np.zeros((2, 4, 8, 8)))
    assert features.shape == (2, 16, 32)


def test_unpatchify_undoes_a_patch_order_of_row_column_channel():
    model = DiT(SMALL)
    image = torch.randn(2, 8, 8, 8)
    cells = image.unfold(2, 2, 2).unfold(3, 2, 2)  # (R, out, row, column, patch row, patch column)
    patches = cells.permute(0, 2, 3, 4, 5, 1).reshape(2, 16, 32)
    np.testing.assert_array_equal(model._unpatchify(patches), image[:, :4])


def test_grid_embedding_puts_columns_first():
    table = grid_embedding(8, Extent(3, 4))[0].unflatten(0, (3, 4))
    np.testing.assert_array_equal(table[0, :, :4], table[2, :, :4])
    np.testing.assert_array_equal(table[:, 0, 4:], table[:, 2, 4:])
    far = [[np.sin(n), np.sin(n / 100), np.cos(n), np.cos(n / 100)] for n in (3, 2)]
    np.testing.assert_allclose(table[2, 3], np.concatenate(far), rtol=1e-6)


@pytest.mark.parametrize("wrong", [{"heads": 5}, {"width": 30, "heads": 2}, {"patch": 3}])
def test_config_refuses_sizes_that_cannot_be_built(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DiTConfig(**wrong)
