"""Published scores against closed forms, and the files that they are compared with."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.errors import InputError
from adagen_rt.evaluation import published
from adagen_rt.evaluation.metrics import Gaussian
from adagen_rt.evaluation.published import (
    PROTOCOLS,
    Looker,
    Reference,
    inception_score,
    load_reference,
    score,
)
from adagen_rt.models.inception import Seen


class Corner(torch.nn.Module):
    """Sees each image's first pixel, as it comes to the network, in the place of features."""

    def forward(self, images):
        seen = images[:, :, 0, 0]
        return Seen(seen, seen[:, :2], seen)


@pytest.fixture
def looker(monkeypatch, tmp_path):
    monkeypatch.setenv("ADAGEN_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "WIDTHS", {"pooled": 3, "spatial": 2, "logits": 3})
    return Looker(Corner(), PROTOCOLS["adm"])


def test_the_score_of_sure_and_varied_images_is_their_number_of_classes():
    sure = 50 * np.eye(8)[np.arange(800) % 8]
    assert inception_score(sure) == pytest.approx(8, rel=1e-6)
    assert inception_score(np.zeros((800, 8))) == pytest.approx(1)
    assert inception_score(np.tile(sure[:1], (800, 1))) == pytest.approx(1)
    # In order, each split has one class; shuffled, all have some of each.
    ordered = sure[np.argsort(np.arange(800) % 8, kind="stable")]
    assert inception_score(ordered) < 3
    assert inception_score(ordered, shuffle=2020) > 6


def test_distances_are_those_of_gaussians():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5000, 3)).astype(np.float32)
    seen = {"pooled": rows + np.float32([30, 0, 0]), "spatial": rows[:, :2] * 2, "logits": rows}
    moments = {"pooled": Gaussian.of(rows), "spatial": Gaussian.of(rows[:, :2])}
    found = score(seen, Reference(moments, rows), PROTOCOLS["adm"])
    assert found.count == 5000
    assert found.fid == pytest.approx(900, rel=1e-3)
    assert found.sfid == pytest.approx(2, rel=0.1)  # (2 - 1)^2 along each of two axes
    assert (found.precision, found.recall) == (0, 0)
    same = score(seen | {"pooled": rows}, Reference(moments, rows), PROTOCOLS["adm"])
    assert (same.precision, same.recall) == (1, 1)
    plain = score(seen, Reference({"pooled": moments["pooled"]}, None), PROTOCOLS["adm"])
    assert (plain.sfid, plain.precision, plain.recall) == (None, None, None)
    assert plain.fid == found.fid


@pytest.mark.parametrize(
    ("protocol", "black", "white"), [("adm", -1, 127 / 128), ("adagen", -1, 1)]
)
def test_bytes_come_to_the_network_as_the_protocol_says(looker, protocol, black, white):
    looker = Looker(Corner(), PROTOCOLS[protocol])
    images = np.stack([np.zeros((8, 8, 3)), np.full((8, 8, 3), 255)]).astype(np.uint8)
    seen = looker.look(images)["pooled"]
    np.testing.assert_allclose(seen, [[black] * 3, [white] * 3], atol=1e-6)
    grey = looker.look(images[..., :1])["pooled"]
    np.testing.assert_array_equal(grey, seen)


def test_references_have_moments_or_images_or_both(looker, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 3), np.uint8)
    mean, spread = np.full(3, 0.5), np.eye(3)
    np.savez(tmp_path / "a.npz", mu=mean, sigma=spread)
    np.savez(tmp_path / "b.npz", images)
    np.savez(tmp_path / "c.npz", images, mu=mean, sigma=spread, mu_s=mean[:2], sigma_s=np.eye(2))
    first, second, third = (load_reference(tmp_path / f"{n}.npz", looker) for n in "abc")
    assert first.pooled is None
    assert list(first.moments) == ["pooled"]
    corner = (images[:, 0, 0].astype(np.float64) - 128) / 128
    np.testing.assert_allclose(second.moments["pooled"].mean, corner.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(second.pooled, corner, atol=1e-5)
    assert set(second.moments) == set(third.moments) == {"pooled", "spatial"}
    np.testing.assert_array_equal(third.moments["pooled"].mean, mean)
    monkeypatch.setattr(looker, "look", None)  # a reference is looked at once
    np.testing.assert_array_equal(load_reference(tmp_path / "b.npz", looker).pooled, second.pooled)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros(3)}, "mu and sigma"),
        ({"mu": np.zeros(4), "sigma": np.eye(4)}, r"\(4,\)"),
        ({"mu": np.zeros(3)}, "sigma"),
        ({"arr_0": np.zeros((2, 8, 8, 3))}, "uint8"),
        ({"arr_0": np.zeros((1, 8, 8, 3), np.uint8)}, "2 or more"),
        ({"mu": np.array([{}], object)}, "plain arrays"),
    ],
)
def test_other_references_are_refused(looker, tmp_path, arrays, said):
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(InputError, match=said):
        load_reference(tmp_path / "r.npz", looker)
    (tmp_path / "none.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="plain arrays"):
        load_reference(tmp_path / "none.npz", looker)
