"""`adagen-rt evaluate --inception`: scores that papers print, in a job that goes on."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from adagen_rt.evaluation import published
from adagen_rt.models.inception import Inception


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Seeded weights of the network, and moments to compare with."""
    folder = tmp_path_factory.mktemp("inception")
    torch.manual_seed(0)
    state = Inception().state_dict()
    published = {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}
    torch.save(published, folder / "inception.pth")
    np.savez(folder / "stats.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    return folder


@pytest.fixture
def options(files, tiny_engine, tmp_path, monkeypatch):
    # The real one takes ten seconds of 2,048 numbers; its own tests hold it.
    def cheap(first, second):
        return float(np.abs(first.mean - second.mean).sum())

    monkeypatch.setattr(published, "frechet_distance", cheap)
    given = ("--inception", files / "inception.pth", "--reference", files / "stats.npz")
    return ("evaluate", tiny_engine, *given, "--out", tmp_path / "job", "--samples", 12)


def test_images_are_made_seen_and_scored(run, options, tmp_path, monkeypatch):
    done = run(*options, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["scores"]["count"] == 12
    assert found["scores"]["fid"] > 0
    assert found["scores"]["inception_score"] >= 1
    assert found["scores"]["sfid"] is None
    with np.load(tmp_path / "job" / "samples.npz") as file:
        assert file.files == ["arr_0"]
        assert file["arr_0"].shape == (12, 4, 4, 3)
        assert file["arr_0"].dtype == np.uint8
    # The second time nothing is made and nothing is looked at.
    monkeypatch.setattr(published.Looker, "look", None)
    again = run(*options)
    assert again.exit_code == 0, again.output
    assert f"{found['scores']['fid']:.3f}" in again.stdout
    assert "Inception score" in again.stdout


def test_bad_input_is_one_clear_line(refuse, options, files, tmp_path):
    assert "reference" in refuse(*options[:4], "--out", tmp_path / "x", "--samples", 12)
    assert "out" in refuse(*options[:6], "--samples", 12)
    assert "--data" in refuse("evaluate", options[1])
    assert "--inception" in refuse(*options, "--data", tmp_path)
    assert "reference" in refuse(
        "evaluate", options[1], "--data", tmp_path, "--reference", files / "stats.npz"
    )
    wrong = refuse(*options, "--inception", files / "stats.npz")
    assert "stats.npz" in wrong
    assert "schedule" in refuse(*options, "--schedule", "policy", "--schedule", "static")
    assert not (tmp_path / "job").exists()
